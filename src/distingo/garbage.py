"""How often Python looks for garbage: seldom in a short command, as usual in a server."""

from __future__ import annotations

import gc

_AS_USUAL = gc.get_threshold()
_SELDOM = (10_000, 50, 100)


def collect_seldom() -> None:
    """For commands: nearly all that a short one allocates are the modules that it imports."""
    gc.set_threshold(*_SELDOM)


def collect_as_usual() -> None:
    """For what runs on and on: what only the collector can free must not wait until it is much."""
    gc.set_threshold(*_AS_USUAL)
