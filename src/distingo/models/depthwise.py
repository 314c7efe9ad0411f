"""Training of depthwise convolutions with stride, which oneDNN does slowly in bfloat16.

Its backward pass falls back to a plain loop there, seven times as long as in float32: 40 % of a step of MobileNetV2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

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
        wanted = [*ctx.needs_input_grad[:2], False]
        transposed = False
        geometry = [*stride], [*padding], [*dilation], transposed, [0, 0], groups
        of_images, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient.float(), images.float(), weight.float(), None, *geometry, wanted
        )
        return (of_images.to(images.dtype) if wanted[0] else None), of_weight, None, None, None, None
