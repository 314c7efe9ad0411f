"""Arrays of an image's values, worked on a block at a time: a copy of all of them would take many times the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_BLOCK = 1 << 18
"""Values of a block."""


def blocks_of(values: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """Yield where the blocks of an array are: some rows, or a part of a row that is longer.

    Args:
        values: Of shape (height,), (height, width) or (height, width, channels).

    Yields:
        Slices to index it by, in the order of its values.
    """
    in_row = max(values[:1].size, 1)
    if in_row <= _BLOCK or values.ndim == 1:
        rows = _BLOCK // in_row
        yield from ((slice(at, at + rows),) for at in range(0, len(values), rows))
        return
    columns = max(_BLOCK // max(values[:1, :1].size, 1), 1)
    for row in range(len(values)):
        yield from ((slice(row, row + 1), slice(at, at + columns)) for at in range(0, values.shape[1], columns))


def by_block(convert: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Convert values to uint8 a block at a time.

    Args:
        convert: From a block to uint8 of the same shape.
        values: As for `blocks_of`.

    Returns:
        uint8 of the same shape.
    """
    result = np.empty(values.shape, np.uint8)
    for block in blocks_of(values):
        result[block] = convert(values[block])
    return result
