"""Layers that networks share: the convolution block, input normalization, initial weights; and the table of layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from distingo.errors import ModelError
from distingo.models.fast_convolutions import Dropout, convolve_pool_relu


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
        maps = self.activation(self.pool(self.convolution(images)))
        return cast(Tensor, self.dropout(maps))


def _blocks_are_faster(images: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether training of this convolution gains from `distingo.models.fast_convolutions`.

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


def initialize_like_keras(model: nn.Module) -> None:
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
    """Raise an error for image sizes that are too small for a network with `halvings` poolings.

    Raises:
        ModelError: No class, no channel, or an image that the poolings leave nothing of.
    """
    if classes < 1:
        raise ModelError(f"{name}: {classes} classes; it needs at least 1", code="out_of_range")
    if channels < 1:
        raise ModelError(
            f"{name}: {channels} channels; it needs at least 1 (1 for gray, 3 for RGB)", code="out_of_range"
        )
    smallest = 2**halvings
    if min(height, width) < smallest:
        raise ModelError(
            f"{name}: image size {height}x{width} (height x width) is too small; choose at least {smallest}x{smallest}",
            code="unsupported_image_size",
        )


def require_probability(name: str, dropout: float) -> None:
    """Raise an error for a dropout outside [0, 1).

    Raises:
        ModelError: It is not.
    """
    if not 0 <= dropout < 1:
        raise ModelError(
            f"{name}: dropout {dropout} is not possible; choose a number from 0 up to, not including, 1",
            code="out_of_range",
            parameter="dropout",
        )


def summarize(model: nn.Module, height: int, width: int, channels: int) -> str:
    """Table of the layers that one image passes, with output shapes and parameter counts.

    A layer that holds no other layers is one row, in the order in which the image passes them; one
    that is passed twice has two rows, its parameters counted once. The model is left as it was found.

    Args:
        model: Takes float images (n, channels, height, width).
        height: In pixels.
        width: In pixels.
        channels: 3 for RGB, 1 for gray.

    Returns:
        The table and the totals as lines of text, without a newline at the end.
    """
    outputs: list[tuple[nn.Module, tuple[int, ...]]] = []
    with _record_outputs(model, outputs), _evaluation_mode(model), torch.no_grad():
        parameter = next(model.parameters(), torch.zeros(()))
        model(torch.zeros(1, channels, height, width, dtype=parameter.dtype, device=parameter.device))
    names = {layer: name for name, layer in model.named_modules()}
    counted: set[nn.Module] = set()
    rows = [("layer", "kind", "output shape", "parameters")]
    for layer, shape in outputs:
        count = 0 if layer in counted else sum(weight.numel() for weight in layer.parameters())
        counted.add(layer)
        text = " x ".join(map(str, shape))
        rows.append((names[layer], type(layer).__name__, text, f"{count:,}"))
    total = sum(weight.numel() for weight in model.parameters())
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return _table(rows) + f"\n\nparameters: {total:,}, of which {trainable:,} are trained"


@contextmanager
def _record_outputs(model: nn.Module, outputs: list[tuple[nn.Module, tuple[int, ...]]]) -> Iterator[None]:
    """Note every childless layer's output shape, without the batch axis, as it is passed."""

    def record(layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            outputs.append((layer, tuple(output.shape[1:])))

    leaves = [layer for layer in model.modules() if next(layer.children(), None) is None]
    hooks = [layer.register_forward_hook(record) for layer in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Context manager that switches all layers to evaluation mode, and restores their modes."""
    were_training = {layer: layer.training for layer in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for layer, training in were_training.items():
            layer.training = training


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: tuple[str, str, str, str]) -> str:
        name, kind, shape, count = row
        return f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {shape:<{widths[2]}}  {count:>{widths[3]}}"

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])


class ChannelNormalization(nn.Module):
    """Center and scale each channel by fixed numbers.

    Input and output: float (n, channels, height, width), input in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(images - mean) / std``."""
        return (images - self.mean) / self.std


class SampleNormalization(nn.Module):
    """Center and scale each image by its own mean and deviation over all pixels and channels."""

    def forward(self, images: Tensor) -> Tensor:
        """Return images of mean 0 and deviation 1; an image of one color becomes all zeros."""
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        std = images.std(dim=(1, 2, 3), keepdim=True, correction=0)
        return (images - mean) / (std + 1e-6)


class ZCAWhitening(nn.Module):
    """Decorrelate pixels by a fixed linear map that stays as close to the image as it can.

    Source: Bell and Sejnowski, "The independent components of natural scenes are edge filters", 1997.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)

    def forward(self, images: Tensor) -> Tensor:
        """Return whitened images of the same shape."""
        flat = images.flatten(1) - self.mean
        return (flat @ self.matrix.to(flat.dtype)).view(images.shape)


def build_normalization(kind: str, *, channels: int, pixels: int) -> nn.Module:
    """Return an empty normalization of a kind, to be filled from a saved state.

    Args:
        kind: ``none``, ``dataset``, ``sample`` or ``zca``.
        channels: Of the images.
        pixels: Numbers per image (channels x height x width), for ``zca``.
    """
    if kind == "dataset":
        return ChannelNormalization((0.0,) * channels, (1.0,) * channels)
    if kind == "sample":
        return SampleNormalization()
    if kind == "zca":
        return ZCAWhitening(torch.zeros(pixels), torch.eye(pixels))
    return nn.Identity()
