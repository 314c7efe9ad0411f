"""3x3 convolution of small feature maps, alone or with 2x2 max-pooling and ReLU, with a third of the multiplications.

Winograd's minimal filtering: a row of m outputs of a 3-tap filter needs m + 2 products, not 3 m, once
input and filter are evaluated at m + 2 points. In two dimensions both axes profit. On feature maps that
fit into a few tiles, a whole axis (tiles, overlaps and zero padding) is one small matrix; with height and
width as the outermost axes, applying it is a plain matrix product, and so is its backward pass.

Source: Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016; tiles of up to 6
outputs as in NNPACK. Rounding errors are some ten times those of a direct float32 convolution: at most a
few 1e-5 of the outputs' standard deviation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
_TAPS = 3
_LARGEST_TILE = 6

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


class Axis(NamedTuple):
    """One axis of the transform; `outputs` is how many positions are wanted, all or those that pooling looks at.

    Attributes:
        of_input: (points, size): the zero-padded input, evaluated.
        of_filter: (points, 3): the filter, evaluated.
        to_output: (outputs, points): products to outputs.
    """

    of_input: Tensor
    of_filter: Tensor
    to_output: Tensor


def tile_sizes(outputs: int) -> list[int]:
    """Cut a number of outputs into the fewest tiles of at most 6, of sizes as equal as can be, larger ones first."""
    count = -(-outputs // _LARGEST_TILE)
    size, extra = divmod(outputs, count)
    return [size + 1] * extra + [size] * (count - extra)


@lru_cache(maxsize=64)
def axis(size: int, outputs: int, dtype: torch.dtype = torch.float32) -> Axis:
    """The transform of an axis of `size` positions, padded with one zero at either end, to its first `outputs`."""
    tiles = tile_sizes(outputs)
    points = sum(tiles) + 2 * len(tiles)
    of_input = np.zeros((points, size + 2))
    of_filter = np.zeros((points, _TAPS))
    to_output = np.zeros((sum(tiles), points))
    point = start = 0
    for tile in tiles:
        end = tile + 2
        tile_input, tile_filter, tile_output = _tile(tile)
        of_input[point : point + end, start : start + end] = tile_input
        of_filter[point : point + end] = tile_filter
        to_output[start : start + tile, point : point + end] = tile_output
        point += end
        start += tile
    unpadded = of_input[:, 1:-1]
    parts = (unpadded, of_filter, to_output)
    return Axis(*(torch.from_numpy(np.ascontiguousarray(part)).to(dtype) for part in parts))


def _tile(outputs: int) -> tuple[Matrix, Matrix, Matrix]:
    """Toom and Cook's algorithm, transposed: matrices of input, filter and output of one tile."""
    points = outputs + _TAPS - 1

    def evaluated(coefficients: int) -> Matrix:
        finite = np.vander(_POINTS[: points - 1], coefficients, increasing=True)
        infinite = np.eye(coefficients)[-1:]
        return cast(Matrix, np.vstack([finite, infinite]))

    of_input = np.linalg.inv(evaluated(points)).T
    scale = np.abs(of_input).max(axis=1, keepdims=True)  # balances the magnitudes of input and filter
    return of_input / scale, evaluated(_TAPS) * scale, evaluated(outputs).T


def _axes(size: tuple[int, int], dtype: torch.dtype, *, pooled: bool) -> tuple[Axis, Axis]:
    rows, columns = (axis(side, side // 2 * 2 if pooled else side, dtype) for side in size)
    return rows, columns


def _convolve(images: Tensor, weight: Tensor, axes: tuple[Axis, Axis]) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve (height, width, n, in); also returns what the backward pass needs: input and filter, evaluated."""
    rows, columns = axes
    _, _, n, inputs = images.shape
    outputs = weight.shape[0]
    evaluate = torch.kron(rows.of_filter, columns.of_filter)
    filters = (evaluate @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(-1, inputs, outputs)
    evaluated = _apply(rows.of_input, columns.of_input, images).view(-1, n, inputs)
    products = torch.bmm(evaluated, filters).view(len(rows.of_filter), len(columns.of_filter), n, outputs)
    return _apply(rows.to_output, columns.to_output, products), evaluated, filters


def _convolve_backward(
    gradient: Tensor, evaluated: Tensor, filters: Tensor, axes: tuple[Axis, Axis], *, wants_images: bool
) -> tuple[Tensor | None, Tensor]:
    """Gradients of images (None unless wanted) and weight, from the gradient (height, width, n, out)."""
    rows, columns = axes
    _, inputs, outputs = filters.shape
    n = gradient.shape[2]
    products = _apply(rows.to_output.T, columns.to_output.T, gradient).view(-1, n, outputs)
    filter_gradient = torch.bmm(evaluated.transpose(1, 2), products).view(-1, inputs * outputs)
    evaluate = torch.kron(rows.of_filter, columns.of_filter)
    weight = (evaluate.T @ filter_gradient).view(3, 3, inputs, outputs).permute(3, 2, 0, 1)
    if not wants_images:
        return None, weight
    grid = (len(rows.of_filter), len(columns.of_filter), n, inputs)
    inputs_evaluated = torch.bmm(products, filters.transpose(1, 2)).view(grid)
    return _apply(rows.of_input.T, columns.of_input.T, inputs_evaluated), weight


class _Convolve(torch.autograd.Function):
    """See `convolve`, on (height, width, n, channels)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.size = images.shape[:2]
        convolved, *evaluated = _convolve(images, weight, _axes(ctx.size, images.dtype, pooled=False))
        ctx.save_for_backward(*evaluated)
        return convolved

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        axes = _axes(ctx.size, gradient.dtype, pooled=False)
        wants_images = ctx.needs_input_grad[0]
        evaluated, filters = ctx.saved_tensors
        return _convolve_backward(gradient.contiguous(), evaluated, filters, axes, wants_images=wants_images)


class _ConvolvePoolReLU(torch.autograd.Function):
    """See `convolve_pool_relu`, on (height, width, n, channels)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.size = images.shape[:2]
        convolved, *evaluated = _convolve(images, weight, _axes(ctx.size, images.dtype, pooled=True))
        pooled, *choices = _max_of_windows(convolved)
        pooled = pooled.add_(bias).relu_()
        ctx.save_for_backward(*evaluated, pooled, *choices)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        evaluated, filters, pooled, *choices = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient.contiguous(), pooled, 0)
        bias = gradient.sum((0, 1, 2))
        convolved = _spread_over_windows(gradient, *choices)
        axes = _axes(ctx.size, gradient.dtype, pooled=True)
        wants_images = ctx.needs_input_grad[0]
        images, weight = _convolve_backward(convolved, evaluated, filters, axes, wants_images=wants_images)
        return images, weight, bias


def _apply(rows: Tensor, columns: Tensor, maps: Tensor) -> Tensor:
    """Multiply a matrix to each of the two leading axes of (height, width, n, channels)."""
    height, width, n, channels = maps.shape
    by_rows = (rows @ maps.view(height, -1)).view(len(rows), width, n * channels)
    return torch.matmul(columns, by_rows).view(len(rows), len(columns), n, channels)


def _max_of_windows(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """2x2 max-pooling of (2 h, 2 w, n, channels), and three bits a window that say where its maximum is.

    Returns:
        The maxima (h, w, n, channels), and as booleans of that shape: whether the right one of the upper
        pair is larger, the right one of the lower pair, the lower pair. Of equal ones the first is taken,
        as torch does.
    """
    height, width, n, channels = maps.shape
    windows = maps.view(height // 2, 2, width // 2, 2, n, channels)
    upper_left, upper_right = windows[:, 0, :, 0], windows[:, 0, :, 1]
    lower_left, lower_right = windows[:, 1, :, 0], windows[:, 1, :, 1]
    upper = torch.maximum(upper_left, upper_right)
    lower = torch.maximum(lower_left, lower_right)
    in_upper, in_lower, is_lower = upper_right > upper_left, lower_right > lower_left, lower > upper
    return torch.maximum(upper, lower), in_upper, in_lower, is_lower


def _spread_over_windows(gradient: Tensor, in_upper: Tensor, in_lower: Tensor, is_lower: Tensor) -> Tensor:
    """Backward of `_max_of_windows`: (h, w, n, channels) to (2 h, 2 w, n, channels), zero off the maxima."""
    height, width, n, channels = gradient.shape
    maps = gradient.new_empty(height, 2, width, 2, n, channels)
    lower = gradient * is_lower
    upper = gradient - lower
    torch.sub(upper, torch.mul(upper, in_upper, out=maps[:, 0, :, 1]), out=maps[:, 0, :, 0])
    torch.sub(lower, torch.mul(lower, in_lower, out=maps[:, 1, :, 1]), out=maps[:, 1, :, 0])
    return maps.view(2 * height, 2 * width, n, channels)


def convolve_pool_relu(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`relu(max_pool2d(conv2d(images, weight, bias, padding=1), 2))`, differentiable once.

    Args:
        images: Float (n, in, h, w), h and w at least 2; fastest where the memory's order is (h, w, n, in),
            which is also the order of the result.
        weight: Float (out, in, 3, 3).
        bias: Float (out,).

    Returns:
        Float (n, out, h // 2, w // 2).
    """
    maps = _ConvolvePoolReLU.apply(images.permute(2, 3, 0, 1).contiguous(), weight, bias)
    return cast(Tensor, maps.permute(2, 3, 0, 1))


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """`conv2d(images, weight, padding=1)`, differentiable once.

    Args:
        images: Float (n, in, h, w), h and w at least 2; fastest where the memory's order is (h, w, n, in),
            which is also the order of the result.
        weight: Float (out, in, 3, 3).

    Returns:
        Float (n, out, h, w).
    """
    maps = _Convolve.apply(images.permute(2, 3, 0, 1).contiguous(), weight)
    return cast(Tensor, maps.permute(2, 3, 0, 1))
