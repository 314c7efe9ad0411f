"""Networks for training from scratch: distingo's small-cnn, and the reference networks as they were published.

small-cnn takes images from 8x8 to 224x224 and beyond. sports-cnn distinguishes two look-alike sports. fashion-cnn is
for small images of any kind, Fashion-MNIST first. poster-cnn is multi-label: it gives film posters any number of
genres.
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
"""Filters of the stem's convolutions."""

LARGEST_STAGE_INPUT = 40
"""The stem halves an image until the geometric mean of its sides is at most this many pixels."""

SMALLEST_MAP = 8
"""Maps are halved only while their longer side is above this many pixels."""


class SmallCNN(nn.Module):
    """3x3 convolutions with batch normalization, a residual block and global average pooling; logits.

    A stem brings any image down to 40 pixels or less, so that one body serves 28x28 and 224x224 alike. The first
    layers are narrow, so that they can work at full resolution: on Fashion-MNIST that was worth more, in the same
    time, than wide layers on halved maps (``benchmarks/small_cnn_design.py`` holds alternatives against it).

    Sources: Simonyan and Zisserman, Very deep convolutional networks, 2015, for the body; Ioffe and Szegedy, Batch
    normalization, 2015; He et al., Deep residual learning for image recognition, 2016, for the block, which ends in
    ReLU before the sum after Page, How to train your ResNet, 2018.

    Args:
        classes: How many logits come out.
        height: Of the images, in pixels, at least 8.
        width: Of the images, in pixels, at least 8.
        channels: 3 for RGB, 1 for gray.
        dropout: Share of the pooled features that training drops.

    Raises:
        ModelError: A size, count or dropout that is not possible.
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
        """Logits (n, classes) of float images (n, channels, height, width)."""
        maps = self.body(self.stem(images))
        features = maps.permute(0, 2, 3, 1).flatten(1, 2).mean(1)
        return cast(Tensor, self.classifier(self.dropout(features)))


class NormalizedConvolution(nn.Module):
    """3x3 convolution, 2x2 max-pooling if requested, batch normalization, ReLU.

    Args:
        in_channels: Channels in.
        out_channels: Filters.
        stride: Of the convolution.
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
    """Add to the maps what layers find in them; the shape stays (n, channels, h, w).

    Args:
        layers: From maps to maps of the same shape.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """Apply the block to float maps (n, channels, h, w)."""
        return maps + cast(Tensor, self.layers(maps))


def stem_halvings(height: int, width: int) -> int:
    """How often the stem halves an image by strides: until sqrt(height x width) is at most 40 pixels."""
    return max(0, math.ceil(math.log2(math.sqrt(height * width) / LARGEST_STAGE_INPUT)))


def _stem(channels: int, halvings: int) -> nn.Sequential:
    """One convolution at full size, or as many of stride 2 as there are halvings."""
    if halvings == 0:
        return nn.Sequential(NormalizedConvolution(channels, STEM_WIDTH))
    widths = (channels, *([STEM_WIDTH] * halvings))
    return nn.Sequential(
        *(NormalizedConvolution(inputs, outputs, stride=2) for inputs, outputs in itertools.pairwise(widths))
    )


def _pools(side: int) -> tuple[bool, bool]:
    """Whether the first and the second pooling have maps to halve whose longer side is `side` before them."""
    first = side > SMALLEST_MAP
    return first, (side // 2 if first else side) > SMALLEST_MAP


def _initialize(model: nn.Module) -> None:
    """Draw convolutions after He et al. (2015); start the classifier near zero for an even first guess."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)


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
