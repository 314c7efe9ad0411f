"""Typed values to cells, alike from every kind of file: what CSV writes as text is the same label in Parquet."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from distingo.datasets.tables import Cell

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_TRUTHS = ({"True", "False"}, {"TRUE", "FALSE"})


def cells_of(values: Iterable[Any]) -> tuple[Cell, ...]:
    """The cells of a column of typed values.

    Args:
        values: Texts, numbers, truth values, dates, lists of them, or nothing (None, NaN).

    Returns:
        Whole numbers without a decimal point, truth values as ``true`` and ``false``, nothing as an empty text, and
        points in time that are all midnight as dates.
    """
    column = list(values)
    moments = [value for value in column if isinstance(value, datetime.datetime)]
    if moments and all(_is_midnight(moment) for moment in moments):
        column = [value.date() if isinstance(value, datetime.datetime) else value for value in column]
    return tuple(tuple(map(_text, value)) if isinstance(value, list | tuple) else _text(value) for value in column)


def cells_of_texts(texts: Sequence[str]) -> tuple[Cell, ...]:
    """The cells of a column of a text file.

    A column of numbers with a decimal point in every one (as pandas writes whole numbers where some are missing), or of
    truth values only, becomes what it was before it was written; any other stays as it is.
    """
    first = next((text for text in texts if text), "")
    if _DECIMAL.fullmatch(first.strip()):
        if all(_DECIMAL.fullmatch(text.strip()) for text in texts if text):
            return tuple(text.strip().removesuffix(".0") for text in texts)
    elif any(first.strip() in truths for truths in _TRUTHS):
        different = {text.strip() for text in texts if text}
        if any(different <= truths for truths in _TRUTHS):
            return tuple(text.strip().lower() for text in texts)
    return tuple(texts)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float | Decimal) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return format(value.normalize(), "f")
    return str(value)


def _is_midnight(moment: datetime.datetime) -> bool:
    return moment.tzinfo is None and moment.time() == datetime.time()
