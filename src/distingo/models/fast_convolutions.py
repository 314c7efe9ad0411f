"""Layers that train faster on a processor than torch's own.

`convolve_pool_relu` does convolution, 2x2 max-pooling, ReLU and dropout in one. In the reference networks the
elementwise passes over the largest maps cost as much as the convolutions do. Here large maps are computed in blocks
that stay in the cache, nothing is kept of them but masks of a quarter of their size, and the row or column that pooling
leaves out is never computed. After ReLU no number is negative, and such IEEE floats order as the integers with the same
bits: maxima, comparisons and masks are integer operations, which processors do at full width whatever the float's type.
What dropout sets to zero then looks like what ReLU does.

`Dropout` draws fewer random numbers. `faster_depthwise` helps depthwise convolutions with stride in bfloat16: oneDNN's
backward pass falls back to a plain loop there, seven times as long as in float32 and 40 % of a step of MobileNetV2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode


class Dropout(nn.Module):
    """Set a share of the numbers to zero while training, and scale the others up to keep the mean.

    torch draws a number of 64 bits for every element, on one core; on a processor that takes a tenth of a training
    step of sports-cnn and a quarter of poster-cnn's. Here one draw decides on four elements or eight.

    Source: Srivastava et al., Dropout: A simple way to prevent neural networks from overfitting, 2014.

    Args:
        probability: Share to drop, in [0, 1); exact to 1/32,768.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, features: Tensor) -> Tensor:
        """Drop from float features of any shape."""
        if not self.training or self.probability == 0:
            return features
        if features.device.type != "cpu":
            return F.dropout(features, self.probability)
        random_integers, limit = _draw(features.numel(), self.probability)
        scaled = (random_integers < limit).to(features.dtype).mul_(1 / (1 - self.probability))
        return features * _like_features(features, scaled)

    def extra_repr(self) -> str:
        """The probability, for `repr`."""
        return f"{self.probability}"


def dropout_masks(like: Tensor, probability: float) -> Tensor:
    """Which numbers dropout keeps, as masks for the bits of floats.

    Args:
        like: Integers of 16, 32 or 64 bits on a processor, of any shape.
        probability: Share to drop, in [0, 1); exact to 1/32,768.

    Returns:
        Of that shape and type: all bits set where a number is kept, none where it is dropped.
    """
    random_integers, limit = _draw(like.numel(), probability)
    masks = random_integers.to(like.dtype).sub_(limit).bitwise_right_shift_(8 * like.element_size() - 1)
    return masks.view(like.shape)


def _draw(count: int, probability: float) -> tuple[Tensor, int]:
    """Random integers (count,), and the least one that says a number is dropped.

    They have 8 bits where the share is a number of 1/256, else 15, so that no difference of them leaves 16.
    """
    exact = (256 * probability).is_integer()
    kind, kinds = (torch.int8, 1 << 8) if exact else (torch.int16, 1 << 15)
    draws = -(-count * kind.itemsize // 8)
    random_integers = torch.empty(draws, dtype=torch.int64).random_(-(2**63), None).view(kind)[:count]
    if not exact:
        random_integers.bitwise_right_shift_(1)
    return random_integers, round(kinds * (1 - probability)) - kinds // 2


def _like_features(features: Tensor, flat: Tensor) -> Tensor:
    """Flat numbers in the shape and memory order of the features, so that a product runs through both in one go."""
    if features.ndim == 4 and features.is_contiguous(memory_format=torch.channels_last):
        n, channels, height, width = features.shape
        return flat.view(n, height, width, channels).permute(0, 3, 1, 2)
    return flat.view(features.shape)


BLOCK_BYTES = 8 << 20
"""Of convolved maps that are worked on at a time."""

_TRANSPOSED = False

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Signed integers by their bytes."""


class _Block(NamedTuple):
    """What the backward pass needs of some images.

    Attributes:
        inputs: The images (n, in, height, width); with the zeros around them where one side is odd.
        right: Whether the right one of two neighbors is larger: integers (n, 2 h, w, out) with all bits set for yes,
            none for no.
        lower: Whether the larger ones' lower one is larger, (n, h, w, out).
    """

    inputs: Tensor
    right: Tensor
    lower: Tensor


def convolve_pool_relu(images: Tensor, weight: Tensor, bias: Tensor, *, dropout: float = 0.0) -> Tensor:
    """`dropout(relu(max_pool2d(conv2d(images, weight, bias, padding="same"), 2)))`, differentiable once.

    Of equal numbers in a window the first one gets the gradient, as in torch. Weights that are not finite give NaN
    everywhere.

    Args:
        images: Float (n, in, h, w), fastest with channels last; h and w at least 2.
        weight: Float (out, in, k, k), k odd; computed with in the images' type.
        bias: Float (out,).
        dropout: Share of the result that is dropped, in [0, 1).

    Returns:
        Of the images' type, (n, out, h // 2, w // 2), channels last.
    """
    scale = 1 / (1 - dropout)  # of the filters: ReLU's result and the maximum's grow with them
    filters = (weight * scale).to(images.dtype, memory_format=torch.channels_last)
    maps = _ConvolvePoolReLU.apply(images.permute(0, 2, 3, 1), filters, (bias * scale).to(images.dtype), dropout)
    return cast(Tensor, maps.permute(0, 3, 1, 2))


class _ConvolvePoolReLU(torch.autograd.Function):
    """See `convolve_pool_relu`, on (n, h, w, channels)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, dropout: float) -> Tensor:
        ctx.size = images.shape[1:3]
        height, width = (side // 2 for side in ctx.size)
        pooled = images.new_empty(len(images), height, width, len(bias))
        ctx.images = max(1, BLOCK_BYTES // (4 * height * width * len(bias) * images.element_size()))
        blocks = zip(torch.split(images, ctx.images), torch.split(_bits(pooled), ctx.images), strict=True)
        ctx.blocks = [_convolve_and_pool(part, weight, bias, maxima, dropout) for part, maxima in blocks]
        if not torch.isfinite(weight).all():
            pooled.fill_(torch.nan)  # among integers a negative NaN went for less than zero
        ctx.save_for_backward(weight, pooled)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        weight, pooled = ctx.saved_tensors
        positive = _is_negative(_bits(pooled).neg())
        bits = positive.bitwise_and_(_bits(gradient.contiguous()))
        parts = zip(torch.split(bits, ctx.images), ctx.blocks, strict=True)
        maps = ((block.inputs, _spread(part, block).view(gradient.dtype)) for part, block in parts)
        needs_images = ctx.needs_input_grad[0]
        gradients = [_convolution_backward(*pair, weight, needs_images=needs_images) for pair in maps]
        of_bias = bits.view(gradient.dtype).sum((0, 1, 2))
        of_weight = torch.stack([weight for _, weight in gradients]).sum(0)
        if not needs_images:
            return None, of_weight, of_bias, None
        images = torch.cat([images for images, _ in gradients if images is not None])
        return _without_margin(images, ctx.size, weight.shape[-1] // 2), of_weight, of_bias, None


def _bits(floats: Tensor) -> Tensor:
    return floats.view(_INTEGERS[floats.element_size()])


def _is_negative(integers: Tensor) -> Tensor:
    """All bits set where an integer is below zero."""
    return integers.bitwise_right_shift_(8 * integers.element_size() - 1)


def _with_margin(images: Tensor, margin: int) -> tuple[Tensor, int]:
    """What to convolve (n, in, h, w), and with how many zeros around it, so that maps have no odd row or column."""
    _, height, width, _ = images.shape
    if height % 2 or width % 2:
        images = F.pad(images, (0, 0, margin, margin - width % 2, margin, margin - height % 2))
        margin = 0
    return images.permute(0, 3, 1, 2), margin


def _without_margin(inputs: Tensor, size: tuple[int, int], margin: int) -> Tensor:
    """The images (n, h, w, in) in what `_with_margin` gave."""
    height, width = size
    return inputs if inputs.shape[1:3] == size else inputs[:, margin : margin + height, margin : margin + width]


def _convolve_and_pool(images: Tensor, weight: Tensor, bias: Tensor, maxima: Tensor, dropout: float) -> _Block:
    """Write the bits of the maxima of all windows, or zero where they are below it or dropped."""
    inputs, margin = _with_margin(images, weight.shape[-1] // 2)
    maps = F.conv2d(inputs, weight, bias, padding=margin).permute(0, 2, 3, 1)
    rectified = _bits(maps.contiguous()).clamp_(min=0)
    left, right = rectified[:, :, 0::2], rectified[:, :, 1::2]
    larger = torch.maximum(left, right)
    upper, lower = larger[:, 0::2], larger[:, 1::2]
    torch.maximum(upper, lower, out=maxima)
    if dropout:
        maxima.bitwise_and_(dropout_masks(maxima, dropout))
    # none is negative, so no difference can overflow
    return _Block(inputs, _is_negative(left - right), _is_negative(upper - lower))


def _spread(gradient: Tensor, block: _Block) -> Tensor:
    """Each window's gradient where its maximum was, zeros next to it: bits (n, h, w, out) to (n, 2 h, 2 w, out)."""
    n, height, width, channels = gradient.shape
    rows = gradient.new_empty(n, 2 * height, width, channels)
    torch.bitwise_and(gradient, block.lower, out=rows[:, 1::2])
    torch.bitwise_xor(gradient, rows[:, 1::2], out=rows[:, 0::2])
    maps = gradient.new_empty(n, 2 * height, 2 * width, channels)
    torch.bitwise_and(rows, block.right, out=maps[:, :, 1::2])
    torch.bitwise_xor(rows, maps[:, :, 1::2], out=maps[:, :, 0::2])
    return maps


def _convolution_backward(
    inputs: Tensor, gradient: Tensor, weight: Tensor, *, needs_images: bool
) -> tuple[Tensor | None, Tensor]:
    """Gradients of the inputs (n, h, w, in), None unless wanted, and of the weight, for the maps' (n, h, w, out)."""
    margin = (gradient.shape[1] - inputs.shape[2] + weight.shape[-1] - 1) // 2
    geometry = [1, 1], [margin, margin], [1, 1], _TRANSPOSED, [0, 0], 1
    images, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient.permute(0, 3, 1, 2), inputs, weight, None, *geometry, [needs_images, True, False]
    )
    return (images.permute(0, 2, 3, 1) if needs_images else None), of_weight


_WEIGHT, _BIAS, _STRIDE, _GROUPS = 1, 2, 3, 6
"""Positions among the inputs of `torch.conv2d`."""


def faster_depthwise(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """While the block lasts, depthwise convolutions with stride go back in float32; forward nothing changes.

    Args:
        device: Where the network computes; only processors need this.
        precision: What it computes in: ``float32`` or ``bfloat16``.
    """
    return _Mode() if device.type == "cpu" and precision == "bfloat16" else nullcontext()


class _Mode(TorchFunctionMode):
    """Takes the place of `torch.conv2d` where its backward pass would be slow."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, inputs: Sequence[Any] = (), options: Any = None
    ) -> Any:
        if function is torch.conv2d and not options and len(inputs) > _GROUPS and _is_slow(inputs):
            images, weight, _, *geometry = inputs
            return _Convolution.apply(images, weight, *geometry)
        return function(*inputs, **(options or {}))


def _is_slow(inputs: Sequence[Any]) -> bool:
    channels_per_group = inputs[_WEIGHT].shape[1]
    with_stride = max(inputs[_STRIDE]) > 1
    return bool(torch.is_grad_enabled() and channels_per_group == 1 < inputs[_GROUPS] and with_stride) and (
        inputs[_BIAS] is None
    )


class _Convolution(torch.autograd.Function):
    """`torch.conv2d` without bias in bfloat16, its gradients computed in float32."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, *geometry: Any) -> Tensor:
        images = images.bfloat16()
        ctx.save_for_backward(images, weight)
        ctx.geometry = geometry
        return torch.conv2d(images, weight.bfloat16(), None, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        needs_gradients = [*ctx.needs_input_grad[:2], False]
        transposed = False
        geometry = [*stride], [*padding], [*dilation], transposed, [0, 0], groups
        of_images, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient.float(), images.float(), weight.float(), None, *geometry, needs_gradients
        )
        return (of_images.to(images.dtype) if needs_gradients[0] else None), of_weight, None, None, None, None
