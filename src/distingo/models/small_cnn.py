"""small-cnn: distingo's own network for training from scratch, on pictures from 8x8 to 224x224 and beyond."""

from __future__ import annotations

import itertools
import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from distingo.models.layers import BatchNormalisation, Convolution3x3, Dropout, require_input_shape, require_probability

STEM_WIDTHS = (16, 32)
"""Filters of the stem's convolutions before its last one, and of its last one."""

STAGE_WIDTHS = (64, 128, 256)
"""Filters of each stage; pictures that need no halving by the stem have the first two."""

LARGEST_STAGE_INPUT = 40
"""The stem halves a picture until the geometric mean of its sides is at most this many pixels."""

SMALLEST_MAP = 8
"""A stage halves maps whose longer side is above this many pixels."""


class SmallCNN(nn.Module):
    """Residual network of dense 3x3 convolutions, batch normalisation and global average pooling; logits.

    A stem brings any picture down to 40 pixels or less, so that one set of stages serves 28x28 and 224x224 alike.
    Each stage widens, halves what is not small yet, and adds a residual block. Most of the work is done on maps of
    16 pixels or less, where `layers.Convolution3x3` needs a third of the multiplications.
    ``benchmarks/small_cnn_design.py`` holds alternatives against it.

    Sources: He et al., Deep residual learning for image recognition, 2016; blocks that end in ReLU before the
    sum after Page, How to train your ResNet, 2018.

    Args:
        classes: How many logits come out.
        height: Of the pictures, in pixels, at least 8.
        width: Of the pictures, in pixels, at least 8.
        channels: 3 for RGB, 1 for grey.
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
        self.stem = _stem(channels, height, width)
        self.stages = nn.Sequential()
        inputs, side = STEM_WIDTHS[1], _side_after_stem(height, width)
        for outputs in STAGE_WIDTHS if stem_halvings(height, width) else STAGE_WIDTHS[:2]:
            stride = 2 if side > SMALLEST_MAP else 1
            side = math.ceil(side / stride)
            self.stages.append(NormalisedConvolution(inputs, outputs, stride=stride))
            self.stages.append(ResidualBlock(outputs))
            inputs = outputs
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(inputs, classes)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of float images (n, channels, height, width)."""
        features = self.stages(self.stem(images)).mean(dim=(2, 3))
        return cast(Tensor, self.classifier(self.dropout(features)))


class NormalisedConvolution(nn.Module):
    """3x3 convolution, 2x2 max-pooling if asked for, batch normalisation, ReLU.

    Args:
        in_channels: Channels in.
        out_channels: Filters.
        stride: Of the convolution.
        pool: Whether to halve the maps after the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, pool: bool = False) -> None:
        super().__init__()
        if stride == 1:
            self.convolution: nn.Conv2d = Convolution3x3(in_channels, out_channels)
        else:
            self.convolution = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.normalisation = BatchNormalisation(out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Apply the layers to float maps (n, in, h, w)."""
        return F.relu(self.normalisation(self.pool(self.convolution(maps))), inplace=True)


class ResidualBlock(nn.Module):
    """Add to the maps what two convolutions find in them; the shape stays (n, channels, h, w).

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            NormalisedConvolution(channels, channels), NormalisedConvolution(channels, channels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Apply the block to float maps (n, channels, h, w)."""
        return maps + cast(Tensor, self.convolutions(maps))


def stem_halvings(height: int, width: int) -> int:
    """How often the stem halves a picture by strides: until sqrt(height x width) is at most 40 pixels."""
    return max(0, math.ceil(math.log2(math.sqrt(height * width) / LARGEST_STAGE_INPUT)))


def _stem(channels: int, height: int, width: int) -> nn.Sequential:
    """One convolution at full size, pooled where there is room; or as many of stride 2 as there are halvings."""
    halvings = stem_halvings(height, width)
    if halvings == 0:
        return nn.Sequential(NormalisedConvolution(channels, STEM_WIDTHS[1], pool=_pools(height, width)))
    widths = (channels, *([STEM_WIDTHS[0]] * (halvings - 1)), STEM_WIDTHS[1])
    return nn.Sequential(
        *(NormalisedConvolution(inputs, outputs, stride=2) for inputs, outputs in itertools.pairwise(widths))
    )


def _pools(height: int, width: int) -> bool:
    return min(height, width) >= 2 * SMALLEST_MAP


def _side_after_stem(height: int, width: int) -> int:
    """The longer side of the maps that the first stage sees."""
    halvings = stem_halvings(height, width)
    if halvings == 0:
        return max(height, width) // 2 if _pools(height, width) else max(height, width)
    return -(-max(height, width) // (1 << halvings))


def _initialise(model: nn.Module) -> None:
    """Draw convolutions after He et al. (2015); start the classifier near zero for an even first guess."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
