"""Notes: a code and its values, which files keep, and the text that is made of them where a person reads them.

The sentences are in the catalog (`distingo.messages.sentences`), their translations in the ``.po`` files next to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from distingo.language import count, gettext, ngettext, translated

Value: TypeAlias = "str | int | float | Note | tuple[str | int | float | Note, ...]"
"""What a note's sentence has in a place."""

TEXT = "text"
"""The code of a text that is shown as it is: a sentence of version 0.1.0, or what another program said."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell a person: ``str(note)`` is its text in the current language.

    Attributes:
        code: What it is about; a key of `distingo.messages.sentences.SENTENCES`.
        values: What stands in the sentence; also other notes, and lists of names.
    """

    code: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return _render(self)

    def __hash__(self) -> int:
        return hash((self.code, tuple(sorted(self.values.items(), key=lambda item: item[0]))))

    @classmethod
    def from_json(cls, content: object) -> Note:
        """Read back what ``dataclasses.asdict`` made; a text of version 0.1.0 becomes a note that shows it.

        Raises:
            TypeError: It is neither a text nor a note.
            ValueError: Notes are nested too deep.
        """
        return _read(content, 0)


def note(code: str, /, **values: Value) -> Note:
    """Make a note; the values are those of its sentence's places."""
    return Note(code, values)


def text_note(text: str) -> Note:
    """A note that shows a text as it is."""
    return Note(TEXT, {"text": text})


def read_notes(content: Sequence[object]) -> tuple[Note, ...]:
    """Read back a list of notes, or of version 0.1.0's sentences."""
    return tuple(map(Note.from_json, content))


def name_first(names: Sequence[str | Note], most: int) -> tuple[str | Note, ...]:
    """The first few of many names as a value of a note, and how many there are besides."""
    left = len(names) - most
    return (*names[:most], *([Note("more", {"count": left})] if left > 0 else []))


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


def _render(said: Note) -> str:
    from distingo.messages.sentences import SENTENCES  # the catalog is read when the first text is made

    sentence = SENTENCES.get(said.code)
    places: dict[str, object] = {}
    for name, value in said.values.items():
        show = sentence.shows.get(name, show_value) if sentence else show_value
        places[name] = show(value)
    if sentence is None:
        return _render_unknown(said.code, places)
    try:
        if sentence.many is None:
            return gettext(sentence.one, **places)
        number = said.values.get(sentence.number)
        return ngettext(sentence.one, sentence.many, number if isinstance(number, int) else 2, **places)
    except KeyError:  # a value that another version leaves out
        return _render_unknown(said.code, places)


def _render_unknown(code: str, places: Mapping[str, object]) -> str:
    """A note of a newer version: its code and values, readable in any language."""
    values = translated(", ").join(f"{name} {value}" for name, value in places.items())
    return f"{code.replace('-', ' ')} ({values})" if values else code.replace("-", " ")


def show_value(value: Value) -> str:
    """A value as text: numbers with their thousands set apart, names with commas."""
    if isinstance(value, tuple):
        return _show_names([show_value(each) for each in value], value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return count(value) if isinstance(value, int) else f"{value:g}"


def plain(value: Value) -> str:
    """A number without a mark between thousands: of a line, or of pixels."""
    return str(value)


def quoted(value: Value) -> str:
    """A name in quotation marks, or several."""
    if isinstance(value, tuple):
        return _show_names([str(each) if isinstance(each, Note) else repr(each) for each in value], value)
    return repr(value) if isinstance(value, str) else show_value(value)


def joined(value: Value) -> str:
    """Parts of a sentence with semicolons between them."""
    return translated("; ").join(map(show_value, value)) if isinstance(value, tuple) else show_value(value)


def either(value: Value) -> str:
    """Names of which one is meant: ``a, b or c``."""
    first, last = _first_and_last(value)
    return gettext("%(first)s or %(last)s", first=first, last=last) if first else last


def both(value: Value) -> str:
    """Names in a row: ``a, b and c``."""
    first, last = _first_and_last(value)
    return gettext("%(names)s and %(last)s", names=first, last=last) if first else last


def _first_and_last(value: Value) -> tuple[str, str]:
    shown = [show_value(each) for each in value] if isinstance(value, tuple) else [show_value(value)]
    return translated(", ").join(shown[:-1]), shown[-1] if shown else ""


def share(value: Value) -> str:
    """A share of 1 as a percentage."""
    return f"{value:.1%}" if isinstance(value, int | float) else show_value(value)


def whole_percent(value: Value) -> str:
    """A share of 1 as a percentage without a fraction."""
    return f"{value:.0%}" if isinstance(value, int | float) else show_value(value)


def three_digits(value: Value) -> str:
    """A score with three digits behind the point."""
    return f"{value:.3f}" if isinstance(value, int | float) else show_value(value)


def _show_names(shown: list[str], value: tuple[Any, ...]) -> str:
    if value and isinstance(value[-1], Note) and value[-1].code == "more":
        return gettext("%(names)s and %(more)s", names=translated(", ").join(shown[:-1]), more=shown[-1])
    return translated(", ").join(shown)


@dataclass(frozen=True, slots=True)
class Sentence:
    """The English sentence of a code; it is the key of its translations.

    Attributes:
        one: With ``%(name)s`` where a value stands; for 1 where there are two forms.
        many: For other numbers; None where no number decides.
        number: The value that decides between the two.
        shows: By name of a place, how its value becomes text where `show_value` does not fit.
    """

    one: str
    many: str | None = None
    number: str = "count"
    shows: Mapping[str, Callable[[Value], str]] = field(default_factory=dict)


def says(message: str, **shows: Callable[[Value], str]) -> Sentence:
    """A sentence of the catalog; ``make messages`` gathers it."""
    return Sentence(message, shows=shows)


def says_count(one: str, many: str, number: str = "count", **shows: Callable[[Value], str]) -> Sentence:
    """A sentence of the catalog with a form for 1 and one for other numbers."""
    return Sentence(one, many, number, shows)
