"""The error family: every error a person can cause says what came, what is allowed and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""For a regular expression's character class: what commands a terminal, breaks a line or turns the direction of
writing around (C0 and C1 controls, two separators, embeddings, overrides and isolates)."""

_CONTROL = re.compile(f"[{CONTROLS}]")


class DistingoError(Exception):
    """A mistake or a hindrance that a person can mend; its text is one line for that person.

    Attributes:
        exit_code: What the command line exits with when this error ends it.
    """

    exit_code = 1


class UsageError(DistingoError):
    """A wrong option, name or combination of options."""

    exit_code = 2


class DataError(DistingoError):
    """The pictures or their labels do not allow what was asked."""


class RunError(DistingoError):
    """A run folder is missing, damaged, foreign or from a newer version."""


class ModelError(DistingoError):
    """A model name, weights file or input shape that does not fit."""


class ResourceError(DistingoError):
    """The machine ran out of something: memory, disk, a device."""


class ExportError(DistingoError):
    """An exported model does not say what the original says."""


class TrainingDivergedError(DistingoError):
    """The loss stopped being a number."""


class InterruptionError(DistingoError):
    """The person pressed Ctrl-C; what was done so far is kept."""

    exit_code = 130


_SHOWN_FAULTS = 20


def quote(value: object, most: int = 80) -> str:
    """A value out of a foreign file for a message: on one line, in ASCII, without control characters, shortened."""
    shown = ascii(value if not isinstance(value, str) else value[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 4]}...{shown[-1]}"


def escape_controls(text: str, kept: str = "\n") -> str:
    r"""Text from anywhere as a terminal may show it: controls as ``\xNN`` or ``\uNNNN``, all else as it is.

    Args:
        text: May hold anything.
        kept: Controls that stay.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in kept else ascii(found[0])[1:-1], text)


def join_faults(faults: Sequence[str], advice: str) -> str:
    """One line for each fault of a foreign file, the first twenty of many, and what to do after the last one."""
    left = len(faults) - _SHOWN_FAULTS
    shown = [*faults[:_SHOWN_FAULTS], *([f"and {left:,} faults more"] if left > 0 else [])]
    return "\n".join([*shown[:-1], f"{shown[-1]}; {advice}"])


def name_some(names: Sequence[str], most: int) -> str:
    """Name the first few of many, and say how many there are besides."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left:,} more" if left > 0 else "")


def find_near(name: str, known: Sequence[str], limit: int = 3) -> list[str]:
    """The known names that are nearest to a mistyped one, at most `limit`; none where none is near."""
    from difflib import get_close_matches

    return get_close_matches(name, known, n=limit, cutoff=0.5)


def name_the_nearest(name: str, known: list[str], limit: int = 3) -> str:
    """Say which known names are nearest to a mistyped one, as a sentence part.

    Args:
        name: What came.
        known: All allowed names.
        limit: How many near names to give at most.

    Returns:
        For example ``"did you mean small-cnn?"``, or the whole list where none is near.
    """
    near = find_near(name, known, limit)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose one of {', '.join(known)}"
