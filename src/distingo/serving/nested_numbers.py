"""Numbers in nested lists, as JSON brings them, made arrays only once they are known to be numbers.

numpy itself would first find a type for all: one text among numbers, and each of them takes that text's length.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

_MOST_DIMENSIONS = 4


class NestingError(ValueError):
    """Lists of different lengths or depths beside each other, or too deep ones."""


class NotNumbersError(ValueError):
    """Something else than the wanted numbers."""


def shape_of(nested: list[Any]) -> tuple[int, ...]:
    """The shape that lists have if they are even, known from the first of each depth alone."""
    shape: list[int] = []
    first: Any = nested
    while isinstance(first, list) and len(shape) <= _MOST_DIMENSIONS:
        shape.append(len(first))
        first = first[0] if first else None
    return tuple(shape)


def read_nested(nested: list[Any], taken: set[type]) -> np.ndarray:
    """Numbers of nested lists.

    Args:
        nested: Lists in lists, at most four deep.
        taken: What the numbers may be, of bool, int and float.

    Returns:
        Of the lists' shape, and of a type that holds all the numbers.

    Raises:
        NestingError: The lists are uneven.
        NotNumbersError: They hold something that is not taken.
    """
    shape: list[int] = []
    level = [nested]
    kinds: set[type] = {list}
    while kinds == {list} and len(shape) < _MOST_DIMENSIONS:
        lengths = set(map(len, level))
        if len(lengths) != 1:
            raise NestingError
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
        kinds = set(map(type, level))
    if list in kinds:
        raise NestingError
    if not kinds <= taken:
        raise NotNumbersError
    return np.array(level).reshape(shape)
