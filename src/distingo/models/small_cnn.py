"""small-cnn: distingo's own network for training from scratch, on pictures from 8x8 to 224x224 and beyond."""

from __future__ import annotations

import itertools
import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from distingo.models.layers import require_input_shape, require_probability

STEM_WIDTHS = (16, 32)
"""Filters of the stem's first convolution, and of the ones after it."""

STAGES = ((48, 1), (96, 1), (192, 0))
"""Filters and residual blocks of each stage."""

LARGEST_STAGE_INPUT = 64
"""The stem halves a picture until the geometric mean of its sides is at most this many pixels."""


class SmallCNN(nn.Module):
    """Residual network of dense 3x3 convolutions, batch normalisation and global average pooling; logits.

    A stem brings any picture down to 64 pixels or less, so that one set of stages serves 28x28 and 224x224 alike.
    Each stage halves and widens the maps; the first two then add a residual block. Dense convolutions reach
    three quarters of a processor's arithmetic limit, depthwise ones a third: the evidence is in
    ``benchmarks/small_cnn_design.py``.

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
        self.stem = _stem(channels, stem_halvings(height, width))
        self.stages = nn.Sequential()
        inputs = STEM_WIDTHS[0] if len(self.stem) == 1 else STEM_WIDTHS[1]
        for outputs, blocks in STAGES:
            self.stages.append(NormalisedConvolution(inputs, outputs, stride=2))
            self.stages.extend(ResidualBlock(outputs) for _ in range(blocks))
            inputs = outputs
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(inputs, classes)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of float images (n, channels, height, width)."""
        features = self.stages(self.stem(images)).mean(dim=(2, 3))
        return cast(Tensor, self.classifier(self.dropout(features)))


class NormalisedConvolution(nn.Module):
    """3x3 convolution, batch normalisation, ReLU: (n, in, h, w) to (n, out, h / stride, w / stride), rounded up.

    Args:
        in_channels: Channels in.
        out_channels: Filters.
        stride: Of the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.normalisation = nn.BatchNorm2d(out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Apply the layers to float maps (n, in, h, w)."""
        return F.relu(self.normalisation(self.convolution(maps)), inplace=True)


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
    """How often the stem halves a picture: until sqrt(height x width) is at most 64 pixels."""
    return max(0, math.ceil(math.log2(math.sqrt(height * width) / LARGEST_STAGE_INPUT)))


def _stem(channels: int, halvings: int) -> nn.Sequential:
    """One convolution at full size, or as many of stride 2 as there are halvings."""
    if halvings == 0:
        return nn.Sequential(NormalisedConvolution(channels, STEM_WIDTHS[0]))
    widths = (channels, STEM_WIDTHS[0], *([STEM_WIDTHS[1]] * (halvings - 1)))
    return nn.Sequential(
        *(NormalisedConvolution(inputs, outputs, stride=2) for inputs, outputs in itertools.pairwise(widths))
    )


def _initialise(model: nn.Module) -> None:
    """Draw convolutions after He et al. (2015); start the classifier near zero for an even first guess."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
