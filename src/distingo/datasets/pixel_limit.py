"""The pixel limit that a run was given, in ``config.json``: later commands read by the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distingo.errors import RunError


def max_pixels_from_config(config: dict[str, Any], path: Path) -> int | None:
    """Read ``max_pixels`` of a ``config.json``.

    Args:
        config: Its content.
        path: The file, for the error.

    Returns:
        The limit, width times height; None where the run was given none.

    Raises:
        RunError: It is no whole number from 1 on.
    """
    limit = config.get("max_pixels")
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise RunError(f"{path}: damaged (max_pixels: {limit!r})")
    return limit
