"""timm, imported in a fraction of a second instead of two."""

from __future__ import annotations

from typing import Any

from distingo.models.compiler_on_demand import compiler_on_demand


def import_timm() -> Any:
    """The module ``timm``, with ``timm.models``."""
    with compiler_on_demand():
        import timm

    return timm
