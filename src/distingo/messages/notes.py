"""Notes: files store a code and values; the text is rendered in the current language when a person reads it.

The English messages are in ``notes.json``, by code, their translations in ``.po`` files. A message is a text with
``%(name)s`` for each value, or an object: ``one`` and, if there is a plural, ``many``; ``number``, the value that
selects between them; ``shows``, the formats of values by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from distingo.language import count, gettext, ngettext, translated

Value: TypeAlias = "str | int | float | Note | tuple[str | int | float | Note, ...]"
"""A value that is filled into a note's message."""

TEXT = "text"
"""The code of a note with a literal text: a message of version 0.1.0, or the output of another program."""


@dataclass(frozen=True, slots=True)
class Note:
    """A message for people; ``str(note)`` is its text in the current language.

    Attributes:
        code: A key of ``notes.json``.
        values: Values to fill into the message by name; they may be other notes, or lists of names.
    """

    code: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return _render(self)

    def __hash__(self) -> int:
        return hash((self.code, tuple(sorted(self.values.items(), key=lambda item: item[0]))))

    @classmethod
    def from_json(cls, content: object) -> Note:
        """Create a note from the output of ``dataclasses.asdict``, or from a literal text of version 0.1.0.

        Raises:
            TypeError: The content is neither a text nor a note.
            ValueError: Notes are nested too deeply.
        """
        return _read(content, 0)


def note(code: str, /, **values: Value) -> Note:
    """Create a note with the values that its message needs."""
    return Note(code, values)


def text_note(text: str) -> Note:
    """Create a note with a literal text, which is not translated."""
    return Note(TEXT, {"text": text})


def read_notes(content: Sequence[object]) -> tuple[Note, ...]:
    """Create notes from a list of their JSON forms, see `Note.from_json`."""
    return tuple(map(Note.from_json, content))


def write_values(said: Note | None) -> str:
    """Encode a note's values as JSON for the cell of a table next to its code; empty if there are none."""
    return json.dumps(asdict(said)["values"], ensure_ascii=False) if said and said.values else ""


def read_cells(code: str, values: str | None) -> Note | None:
    """Create a note from two cells of a table.

    Args:
        code: The note's code; empty if there is no note.
        values: As from `write_values`; None if the table has no such column, and `code` is a literal text.

    Raises:
        TypeError: The values are not those of a note.
        ValueError: The values are not JSON, or nested too deeply.
        RecursionError: They are nested far too deeply.
    """
    if not code or values is None:
        return text_note(code) if code else None
    return Note.from_json({"code": code, "values": json.loads(values) if values else {}})


def name_first(names: Sequence[str | Note], most: int) -> tuple[str | Note, ...]:
    """Return the first `most` names as a value of a note, followed by a note with the number of the remaining ones."""
    remaining = len(names) - most
    return (*names[:most], *([Note("more", {"count": remaining})] if remaining > 0 else []))


_DEEPEST = 8


def _read(content: object, depth: int) -> Note:
    if isinstance(content, str):
        return text_note(content)
    if depth > _DEEPEST:
        raise ValueError("notes are nested too deep")
    if not isinstance(content, dict) or not isinstance(content.get("code"), str):
        raise TypeError(f"expected a note, found a {type(content).__name__}")
    values = content.get("values", {})
    if not isinstance(values, dict):
        raise TypeError(f"expected a note's values, found a {type(values).__name__}")
    return Note(content["code"], {str(name): _read_value(value, depth) for name, value in values.items()})


def _read_value(value: Any, depth: int) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_read_value(each, depth + 1) for each in value)
    if isinstance(value, dict):
        return _read(value, depth + 1)
    if isinstance(value, str | int | float):
        return value
    raise TypeError(f"expected a note's value, found a {type(value).__name__}")


def _render(message: Note) -> str:
    sentence = read_sentences().get(message.code)
    rendered: dict[str, object] = {}
    for name, value in message.values.items():
        show = sentence.shows.get(name, show_value) if sentence else show_value
        rendered[name] = show(value)
    if sentence is None:
        return _render_unknown(message.code, rendered)
    try:
        if sentence.many is None:
            return gettext(sentence.one, **rendered)
        number = message.values.get(sentence.number)
        return ngettext(sentence.one, sentence.many, number if isinstance(number, int) else 2, **rendered)
    except KeyError:  # another version wrote the note without this value
        return _render_unknown(message.code, rendered)


def _render_unknown(code: str, places: Mapping[str, object]) -> str:
    """Render a note of a newer version as its code and values."""
    values = translated(", ").join(f"{name} {value}" for name, value in places.items())
    return f"{code.replace('-', ' ')} ({values})" if values else code.replace("-", " ")


def show_value(value: Value) -> str:
    """Format a value: numbers with thousands separators, lists with commas."""
    if isinstance(value, tuple):
        return _show_names([show_value(each) for each in value], value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return count(value) if isinstance(value, int) else f"{value:g}"


def plain(value: Value) -> str:
    """Format a number without thousands separators, for line numbers and pixels."""
    return str(value)


def quoted(value: Value) -> str:
    """Format one or several names in quotation marks."""
    if isinstance(value, tuple):
        return _show_names([str(each) if isinstance(each, Note) else repr(each) for each in value], value)
    return repr(value) if isinstance(value, str) else show_value(value)


def joined(value: Value) -> str:
    """Join parts of a sentence with semicolons."""
    return translated("; ").join(map(show_value, value)) if isinstance(value, tuple) else show_value(value)


def either(value: Value) -> str:
    """Join alternatives: ``a, b or c``."""
    first, last = _first_and_last(value)
    return gettext("%(first)s or %(last)s", first=first, last=last) if first else last


def both(value: Value) -> str:
    """Join names: ``a, b and c``."""
    first, last = _first_and_last(value)
    return gettext("%(names)s and %(last)s", names=first, last=last) if first else last


def _first_and_last(value: Value) -> tuple[str, str]:
    shown = [show_value(each) for each in value] if isinstance(value, tuple) else [show_value(value)]
    return translated(", ").join(shown[:-1]), shown[-1] if shown else ""


def share(value: Value) -> str:
    """Format a fraction as a percentage with one decimal."""
    return f"{value:.1%}" if isinstance(value, int | float) else show_value(value)


def whole_percent(value: Value) -> str:
    """Format a fraction as a percentage without decimals."""
    return f"{value:.0%}" if isinstance(value, int | float) else show_value(value)


def three_digits(value: Value) -> str:
    """Format a score with three decimals."""
    return f"{value:.3f}" if isinstance(value, int | float) else show_value(value)


def _show_names(shown: list[str], value: tuple[Any, ...]) -> str:
    if value and isinstance(value[-1], Note) and value[-1].code == "more":
        return gettext("%(names)s and %(more)s", names=translated(", ").join(shown[:-1]), more=shown[-1])
    return translated(", ").join(shown)


@dataclass(frozen=True, slots=True)
class Sentence:
    """The English message of a code, which is also the key of its translations.

    Attributes:
        one: The message with ``%(name)s`` for each value; the singular if there is a plural.
        many: The plural; None if there is none.
        number: Name of the value that selects singular or plural.
        shows: Formatters of values by name; the default is `show_value`.
    """

    one: str
    many: str | None = None
    number: str = "count"
    shows: Mapping[str, Callable[[Value], str]] = field(default_factory=dict)


_FORMATS: dict[str, Callable[[Value], str]] = {
    each.__name__: each for each in (plain, quoted, joined, either, both, share, whole_percent, three_digits)
}


@cache
def read_sentences() -> Mapping[str, Sentence]:
    """Read the English messages by code from ``notes.json``."""
    content = json.loads((Path(__file__).parent / "notes.json").read_text(encoding="utf-8"))
    return {
        code: Sentence(entry)
        if isinstance(entry, str)
        else Sentence(
            entry["one"],
            entry.get("many"),
            entry.get("number", "count"),
            {name: _FORMATS[each] for name, each in entry.get("shows", {}).items()},
        )
        for code, entry in content.items()
    }
