"""Notes as the texts that a person reads."""

from __future__ import annotations

from collections.abc import Iterable

from distingo.messages.notes import Note


def texts(notes: Iterable[Note]) -> tuple[str, ...]:
    """The text of each note, in the current language."""
    return tuple(map(str, notes))


def stored_texts(content: Iterable[object]) -> tuple[str, ...]:
    """The text of each note of a JSON file."""
    return tuple(str(Note.from_json(each)) for each in content)
