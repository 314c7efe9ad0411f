"""Columns of 0 and 1, one per label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from distingo.datasets.tables import Cell, text_of

YES = frozenset({"1", "1.0", "true", "yes"})
NO = frozenset({"0", "0.0", "false", "no"})
SPARSE_NO = frozenset({"", "-1", "-1.0"})
"""What means no in a column that holds no 0 at all."""

_SWITCHES = YES | NO | SPARSE_NO
_MOSTLY = 0.9


def is_switch(cells: Sequence[Cell]) -> bool:
    """Whether a column holds 0 and 1, but for a few unknown values."""
    counts = Counter(cells)
    filled = {cell: count for cell, count in counts.items() if cell}
    known = sum(count for cell, count in filled.items() if text_of(cell).lower() in _SWITCHES)
    return bool(filled) and known >= _MOSTLY * sum(filled.values())
