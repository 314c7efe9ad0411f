"""The reference networks, with the layers as they were published.

sports-cnn distinguishes two look-alike sports. fashion-cnn is for small images of any kind, Fashion-MNIST first.
poster-cnn is multi-label: it gives film posters any number of genres.
"""

from __future__ import annotations

import itertools
from typing import cast

from torch import Tensor, nn

from distingo.models.fast_convolutions import Dropout
from distingo.models.layers import (
    ConvolutionBlock,
    Flatten,
    initialize_like_keras,
    require_input_shape,
    require_probability,
)


class SportsCNN(nn.Module):
    """Three 3x3 convolution blocks of 32, 32 and 64 filters, dropout, a dense layer of 128, logits.

    Args:
        classes: How many logits come out.
        height: Of the images, in pixels, at least 8.
        width: Of the images, in pixels, at least 8.
        channels: 3 for RGB, 1 for gray.
        dropout: Share of the last feature maps' numbers that training drops.

    Raises:
        ModelError: A size, count or dropout that is not possible.
    """

    def __init__(
        self, classes: int, *, height: int = 224, width: int = 224, channels: int = 3, dropout: float = 0.4
    ) -> None:
        super().__init__()
        require_input_shape("sports-cnn", classes, height=height, width=width, channels=channels, halvings=3)
        require_probability("sports-cnn", dropout)
        self.features = nn.Sequential(
            ConvolutionBlock(channels, 32),
            ConvolutionBlock(32, 32),
            ConvolutionBlock(32, 64),
        )
        self.classifier = nn.Sequential(
            Dropout(dropout),
            Flatten(),
            nn.Linear(64 * (height // 8) * (width // 8), 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, classes),
        )
        initialize_like_keras(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of float images (n, channels, height, width) in [0, 1]."""
        return cast(Tensor, self.classifier(self.features(images)))


class FashionCNN(nn.Module):
    """Three 3x3 convolution blocks of 32, 64 and 128 filters, a dense layer of 128, logits.

    Args:
        classes: How many logits come out.
        height: Of the images, in pixels, at least 8.
        width: Of the images, in pixels, at least 8.
        channels: 3 for RGB, 1 for gray.
        dropout: Share of the last feature maps' numbers that training drops; the reference drops none.

    Raises:
        ModelError: A size, count or dropout that is not possible.
    """

    def __init__(
        self, classes: int, *, height: int = 28, width: int = 28, channels: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        require_input_shape("fashion-cnn", classes, height=height, width=width, channels=channels, halvings=3)
        require_probability("fashion-cnn", dropout)
        self.features = nn.Sequential(
            ConvolutionBlock(channels, 32),
            ConvolutionBlock(32, 64),
            ConvolutionBlock(64, 128),
        )
        self.classifier = nn.Sequential(
            Dropout(dropout),
            Flatten(),
            nn.Linear(128 * (height // 8) * (width // 8), 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, classes),
        )
        initialize_like_keras(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of float images (n, channels, height, width) in [0, 1]."""
        return cast(Tensor, self.classifier(self.features(images)))


class PosterCNN(nn.Module):
    """Four 5x5 convolution blocks of 16, 32, 64 and 64 filters, dense layers of 128 and 64, logits.

    For several labels per image each logit goes through a sigmoid of its own, outside.

    Args:
        classes: How many logits come out.
        height: Of the images, in pixels, at least 16.
        width: Of the images, in pixels, at least 16.
        channels: 3 for RGB, 1 for gray.
        dropout: Share of each block's output that training drops.
        dense_dropout: Share of each hidden dense layer's output that training drops.

    Raises:
        ModelError: A size, count or dropout that is not possible.
    """

    def __init__(
        self,
        classes: int,
        *,
        height: int = 400,
        width: int = 300,
        channels: int = 3,
        dropout: float = 0.25,
        dense_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        require_input_shape("poster-cnn", classes, height=height, width=width, channels=channels, halvings=4)
        require_probability("poster-cnn", dropout)
        require_probability("poster-cnn", dense_dropout)
        filters = (channels, 16, 32, 64, 64)
        self.features = nn.Sequential()
        for inputs, outputs in itertools.pairwise(filters):
            self.features.append(ConvolutionBlock(inputs, outputs, kernel_size=5, dropout=dropout))
        self.classifier = nn.Sequential(
            Flatten(),
            nn.Linear(64 * (height // 16) * (width // 16), 128),
            nn.ReLU(inplace=True),
            Dropout(dense_dropout),
            nn.Linear(128, 64),
            nn.ReLU(inplace=True),
            Dropout(dense_dropout),
            nn.Linear(64, classes),
        )
        initialize_like_keras(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of float images (n, channels, height, width) in [0, 1]."""
        return cast(Tensor, self.classifier(self.features(images)))
