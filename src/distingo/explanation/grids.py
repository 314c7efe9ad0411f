"""Outputs of a backbone's layers as maps over the picture: channels first or last, or a list of tokens."""

from __future__ import annotations

import math

from torch import Tensor, nn

from distingo.errors import ModelError


def as_grid(maps: Tensor, backbone: nn.Module, channels: int | None = None) -> Tensor:
    """Bring a layer's output into the order (n, rows, columns, channels).

    Args:
        maps: Float (n, channels, rows, columns), (n, rows, columns, channels) or tokens (n, tokens, channels) with
            those that are no patches first.
        backbone: timm's, whose layer it is.
        channels: Of the output; None takes the backbone's ``num_features``.

    Raises:
        ModelError: The output is no map.
    """
    if maps.ndim == 4:
        channels = channels or int(getattr(backbone, "num_features", 0))
        last = maps.shape[1] != channels and maps.shape[-1] == channels
        return maps if last else maps.movedim(1, -1)
    if maps.ndim == 3:
        prefix = prefix_tokens(backbone)
        rows, columns = token_grid(backbone, maps.shape[1] - prefix)
        return maps[:, prefix:].reshape(len(maps), rows, columns, -1)
    raise ModelError(f"{type(backbone).__name__}: its layers give no maps over the picture")


def prefix_tokens(backbone: nn.Module) -> int:
    """How many tokens (class, distillation, registers) come before those of the patches."""
    return int(getattr(backbone, "num_prefix_tokens", 0))


def token_grid(backbone: nn.Module, tokens: int) -> tuple[int, int]:
    """Rows and columns that so many patch tokens lie in.

    Raises:
        ModelError: They fit no grid.
    """
    size = getattr(getattr(backbone, "patch_embed", None), "grid_size", None)
    if size is not None and len(size) == 2 and size[0] * size[1] == tokens:
        return int(size[0]), int(size[1])
    side = math.isqrt(max(tokens, 0))
    if side < 1 or side * side != tokens:
        raise ModelError(f"{type(backbone).__name__}: its {tokens} tokens lie in no grid")
    return side, side
