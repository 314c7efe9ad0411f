"""A network as a table: layer, output shape, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def summarise(model: nn.Module, height: int, width: int, channels: int) -> str:
    """Table of the layers that one picture passes, with output shapes and parameter counts.

    A layer that holds no other layers is one row, in the order in which the picture passes them; one
    that is passed twice has two rows, its parameters counted once. The model is left as it was found.

    Args:
        model: Takes float images (n, channels, height, width).
        height: In pixels.
        width: In pixels.
        channels: 3 for RGB, 1 for grey.

    Returns:
        The table and the totals as lines of text, without a newline at the end.
    """
    passed: list[tuple[nn.Module, tuple[int, ...]]] = []
    with _recording(model, passed), _judging(model), torch.no_grad():
        parameter = next(model.parameters(), torch.zeros(()))
        model(torch.zeros(1, channels, height, width, dtype=parameter.dtype, device=parameter.device))
    names = {layer: name for name, layer in model.named_modules()}
    counted: set[nn.Module] = set()
    rows = [("layer", "kind", "output shape", "parameters")]
    for layer, shape in passed:
        count = 0 if layer in counted else sum(weight.numel() for weight in layer.parameters())
        counted.add(layer)
        text = " x ".join(map(str, shape))
        rows.append((names[layer], type(layer).__name__, text, f"{count:,}"))
    total = sum(weight.numel() for weight in model.parameters())
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return _table(rows) + f"\n\nparameters: {total:,}, of which {trainable:,} are trained"


@contextmanager
def _recording(model: nn.Module, passed: list[tuple[nn.Module, tuple[int, ...]]]) -> Iterator[None]:
    """Note every childless layer's output shape, without the batch axis, as it is passed."""

    def note(layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            passed.append((layer, tuple(output.shape[1:])))

    leaves = [layer for layer in model.modules() if next(layer.children(), None) is None]
    hooks = [layer.register_forward_hook(note) for layer in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _judging(model: nn.Module) -> Iterator[None]:
    """Switch every layer to evaluation, and back to what it was."""
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
