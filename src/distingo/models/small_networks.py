"""Networks for training from scratch: distingo's small-cnn, and the reference networks as they were published.

small-cnn is for images from 8x8 to 224x224 pixels and more. sports-cnn was published for two similar sports,
fashion-cnn for small images such as Fashion-MNIST, and poster-cnn for the genres of film posters (multi-label).
"""

from __future__ import annotations

import itertools
import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from distingo.models.fast_convolutions import Dropout
from distingo.models.layers import (
    ConvolutionBlock,
    Flatten,
    initialize_like_keras,
    require_input_shape,
    require_probability,
)

STEM_WIDTH = 16
"""Number of filters of the stem's convolutions."""

LARGEST_STAGE_INPUT = 40
"""The stem halves an image until the geometric mean of its sides is at most this many pixels."""

SMALLEST_MAP = 8
"""Maps are halved only while their longer side is above this many pixels."""


class SmallCNN(nn.Module):
    """3x3 convolutions with batch normalization, a residual block, global average pooling and a dense layer.

    A stem reduces any image to 40 pixels or less, so that the same body suits 28x28 and 224x224 pixels. The first
    layers are narrow, so that they can process the full resolution: on Fashion-MNIST this was better, for the same
    training time, than wide layers on halved maps (``benchmarks/small_cnn_design.py`` compares alternatives).

    Sources: Simonyan and Zisserman, Very deep convolutional networks, 2015, for the body; Ioffe and Szegedy, Batch
    normalization, 2015; He et al., Deep residual learning for image recognition, 2016, for the block, which ends in
    ReLU before the sum after Page, How to train your ResNet, 2018.

    Args:
        classes: Number of logits.
        height: Height of the images in pixels, at least 8.
        width: Width of the images in pixels, at least 8.
        channels: 3 for RGB, 1 for gray.
        dropout: Dropout probability of the pooled features.

    Raises:
        ModelError: A size, count or dropout is out of range.
    """

    def __init__(
        self, classes: int, *, height: int = 28, width: int = 28, channels: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        require_input_shape("small-cnn", classes, height=height, width=width, channels=channels, halvings=3)
        require_probability("small-cnn", dropout)
        halvings = stem_halvings(height, width)
        first, second = _pools(-(-max(height, width) // (1 << halvings)))
        self.stem = _stem(channels, halvings)
        self.body = nn.Sequential(
            NormalizedConvolution(STEM_WIDTH, 32, pool=first),
            NormalizedConvolution(32, 64),
            NormalizedConvolution(64, 64, pool=second),
            NormalizedConvolution(64, 128),
            Residual(NormalizedConvolution(128, 128)),
        )
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(128, classes)
        _initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits (n, classes) of float images (n, channels, height, width)."""
        maps = self.body(self.stem(images))
        features = maps.permute(0, 2, 3, 1).flatten(1, 2).mean(1)
        return cast(Tensor, self.classifier(self.dropout(features)))


class NormalizedConvolution(nn.Module):
    """3x3 convolution, optional 2x2 max-pooling, batch normalization, ReLU.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of filters.
        stride: Stride of the convolution.
        pool: Whether to halve the maps after the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, pool: bool = False) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.normalisation = nn.BatchNorm2d(out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Apply the layers to float maps (n, in, h, w)."""
        return F.relu(self.normalisation(self.pool(self.convolution(maps))), inplace=True)


class Residual(nn.Module):
    """Residual block: add the output of layers to their input (n, channels, h, w).

    Args:
        layers: Layers that preserve the shape.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """Apply the block to float maps (n, channels, h, w)."""
        return maps + cast(Tensor, self.layers(maps))


def stem_halvings(height: int, width: int) -> int:
    """Return how often the stem halves an image: until sqrt(height * width) is at most 40 pixels."""
    return max(0, math.ceil(math.log2(math.sqrt(height * width) / LARGEST_STAGE_INPUT)))


def _stem(channels: int, halvings: int) -> nn.Sequential:
    """Build one convolution at full resolution, or one with stride 2 for each halving."""
    if halvings == 0:
        return nn.Sequential(NormalizedConvolution(channels, STEM_WIDTH))
    widths = (channels, *([STEM_WIDTH] * halvings))
    return nn.Sequential(
        *(NormalizedConvolution(inputs, outputs, stride=2) for inputs, outputs in itertools.pairwise(widths))
    )


def _pools(side: int) -> tuple[bool, bool]:
    """Return whether to apply the first and the second pooling to maps with a longer side of `side`."""
    first = side > SMALLEST_MAP
    return first, (side // 2 if first else side) > SMALLEST_MAP


def _initialize(model: nn.Module) -> None:
    """Initialize convolutions as in He et al. (2015), and the classifier near zero, for uniform probabilities."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)


class SportsCNN(nn.Module):
    """Three 3x3 convolution blocks of 32, 32 and 64 filters, dropout, a dense layer of 128, logits.

    Args:
        classes: Number of logits.
        height: Height of the images in pixels, at least 8.
        width: Width of the images in pixels, at least 8.
        channels: 3 for RGB, 1 for gray.
        dropout: Dropout probability of the last feature maps.

    Raises:
        ModelError: A size, count or dropout is out of range.
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
        """Compute logits (n, classes) of float images (n, channels, height, width) in [0, 1]."""
        return cast(Tensor, self.classifier(self.features(images)))


class FashionCNN(nn.Module):
    """Three 3x3 convolution blocks of 32, 64 and 128 filters, a dense layer of 128, logits.

    Args:
        classes: Number of logits.
        height: Height of the images in pixels, at least 8.
        width: Width of the images in pixels, at least 8.
        channels: 3 for RGB, 1 for gray.
        dropout: Dropout probability of the last feature maps; 0 in the reference.

    Raises:
        ModelError: A size, count or dropout is out of range.
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
        """Compute logits (n, classes) of float images (n, channels, height, width) in [0, 1]."""
        return cast(Tensor, self.classifier(self.features(images)))


class PosterCNN(nn.Module):
    """Four 5x5 convolution blocks of 16, 32, 64 and 64 filters, dense layers of 128 and 64, logits.

    The network returns logits; for multi-label tasks, a sigmoid is applied to each of them afterwards.

    Args:
        classes: Number of logits.
        height: Height of the images in pixels, at least 16.
        width: Width of the images in pixels, at least 16.
        channels: 3 for RGB, 1 for gray.
        dropout: Dropout probability of each block's output.
        dense_dropout: Dropout probability of each hidden dense layer's output.

    Raises:
        ModelError: A size, count or dropout is out of range.
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
        """Compute logits (n, classes) of float images (n, channels, height, width) in [0, 1]."""
        return cast(Tensor, self.classifier(self.features(images)))
