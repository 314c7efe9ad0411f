"""Assert what an error is by its code and parameter; its sentence may be written better at any time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from distingo import DistingoError
from distingo.errors import ErrorCode


@contextmanager
def raises(
    kind: type[DistingoError] | tuple[type[DistingoError], ...],
    *,
    code: ErrorCode,
    parameter: str | None = None,
    naming: str | tuple[str, ...] = (),
) -> Iterator[pytest.ExceptionInfo[DistingoError]]:
    """Expect one of distingo's errors.

    Args:
        kind: Its class.
        code: The kind of fault.
        parameter: The keyword at fault; None does not look at it.
        naming: Facts that its text names: a file, a line, a value. Not its words.
    """
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert (error.code, error.parameter if parameter else None) == (code, parameter), error
    for fact in (naming,) if isinstance(naming, str) else naming:
        assert fact in str(error)
