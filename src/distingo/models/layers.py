"""The layers that networks share."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from distingo.errors import ModelError
from distingo.models import winograd
from distingo.models.pooled_convolution import Dropout, convolve_pool_relu


class ConvolutionBlock(nn.Module):
    """Convolution with `same` padding, 2x2 max-pooling, ReLU, dropout: (n, in, h, w) to (n, out, h // 2, w // 2).

    The reference writes ReLU before pooling. Both orders give the same numbers, because ReLU never
    decreases, and this one passes over a quarter of the elements.

    Args:
        in_channels: Channels in.
        out_channels: Filters.
        kernel_size: Odd side of the square kernel.
        dropout: Share of the block's output that training drops.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.pool = nn.MaxPool2d(2)
        self.activation = nn.ReLU(inplace=True)
        self.dropout = Dropout(dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Apply the block to float images (n, in, h, w)."""
        weight, bias = self.convolution.weight, cast(Tensor, self.convolution.bias)
        if self.training and _blocks_are_faster(images, self.convolution):
            return convolve_pool_relu(images.to(_computed_in(weight)), weight, bias, dropout=self.dropout.probability)
        if self.training and _winograd_is_faster(images, self.convolution):
            maps = winograd.convolve_pool_relu(images, weight, bias)
        else:
            maps = self.activation(self.pool(self.convolution(images)))
        return cast(Tensor, self.dropout(maps))


class Convolution3x3(nn.Conv2d):
    """3x3 convolution with `same` padding and no bias, by the faster method: (n, in, h, w) to (n, out, h, w).

    Args:
        in_channels: Channels in.
        out_channels: Filters.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve float maps (n, in, h, w)."""
        if self.training and _winograd_is_faster(images, self):
            return winograd.convolve(images, self.weight)
        return super().forward(images)


class BatchNormalisation(nn.BatchNorm2d):
    """Batch normalisation that is as fast on maps in the memory order of `Convolution3x3`'s small maps."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise float maps (n, channels, h, w)."""
        positions = maps.permute(2, 3, 0, 1)
        if not positions.is_contiguous():
            return super().forward(maps)
        # statistics go over all positions alike, so (h, w, n) may stand in any order: one that torch has a kernel for
        height, width, n, channels = positions.shape
        flat = positions.view(height * width, n, 1, channels).permute(0, 3, 1, 2)
        normalised = super().forward(flat).permute(0, 2, 3, 1)
        return normalised.reshape(height, width, n, channels).permute(2, 3, 0, 1)


def _winograd_is_faster(images: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether float32 training of this convolution was measured to gain from `distingo.models.winograd`.

    Measured on AVX2 (1.5 times the images a second for the whole of fashion-cnn). With AVX-512 the direct
    convolution is much faster, and with bfloat16 autocast does the work.
    """
    n, channels, height, width = images.shape
    return (
        convolution.kernel_size == (3, 3)
        and n >= 32
        and channels >= 16
        and min(height, width) >= 4
        and max(height, width) <= 16
        and images.device.type == "cpu"
        and images.dtype == convolution.weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


def _blocks_are_faster(images: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether training of this convolution gains from `distingo.models.pooled_convolution`.

    Measured with AVX-512: in bfloat16 always, in float32 where the maps are larger than the processor's caches.
    """
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    size = _computed_in(convolution.weight).itemsize
    n, _, height, width = images.shape
    return size == 2 or n * convolution.out_channels * height * width * size > _LARGER_THAN_CACHES


_LARGER_THAN_CACHES = 64 << 20


def _computed_in(weight: Tensor) -> torch.dtype:
    """The type that a convolution on a processor computes in."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype


class Flatten(nn.Module):
    """(n, c, h, w) to (n, h * w * c), channels fastest as Keras does: no copy of a channels-last tensor."""

    def forward(self, images: Tensor) -> Tensor:
        """Flatten float images (n, c, h, w)."""
        return images.permute(0, 2, 3, 1).flatten(1)


def initialise_like_keras(model: nn.Module) -> None:
    """Fill every convolution and dense layer as Keras does: Glorot-uniform weights, zero biases.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, 2010.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def require_input_shape(name: str, classes: int, *, height: int, width: int, channels: int, halvings: int) -> None:
    """Refuse what a network of `halvings` poolings can't be built for.

    Raises:
        ModelError: No class, no channel, or a picture that the poolings leave nothing of.
    """
    if classes < 1:
        raise ModelError(f"{name}: {classes} classes; it needs at least 1", code="out_of_range")
    if channels < 1:
        raise ModelError(
            f"{name}: {channels} channels; it needs at least 1 (1 for grey, 3 for RGB)", code="out_of_range"
        )
    smallest = 2**halvings
    if min(height, width) < smallest:
        raise ModelError(
            f"{name}: image size {height}x{width} (height x width) is too small; choose at least {smallest}x{smallest}",
            code="unsupported_image_size",
        )


def require_probability(name: str, dropout: float) -> None:
    """Refuse a dropout that is not in [0, 1).

    Raises:
        ModelError: It is not.
    """
    if not 0 <= dropout < 1:
        raise ModelError(
            f"{name}: dropout {dropout} is not possible; choose a number from 0 up to, not including, 1",
            code="out_of_range",
            parameter="dropout",
        )
