"""The classes of a large public data set: found by the names that a person types, and given folder names."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from distingo.errors import UsageError, name_the_nearest, option
from distingo.file_names import safe_name


@dataclass(frozen=True, slots=True)
class KnownClass:
    """One class of a public data set.

    Attributes:
        identifier: The data set's own: ``/m/01226z``, ``n04118538``.
        names: All of its names, the usual one first.
        meaning: What distinguishes it from others of the same name; may be empty.
    """

    identifier: str
    names: tuple[str, ...]
    meaning: str = ""

    @property
    def name(self) -> str:
        """The usual name."""
        return self.names[0]

    @property
    def described(self) -> str:
        """Identifier and meaning, for a person who has to choose."""
        meaning = self.meaning or ", ".join(self.names)
        return f"{self.identifier} ({meaning if len(meaning) <= 60 else meaning[:59].rstrip() + '…'})"


def find_classes(requested: Iterable[str], known: Sequence[KnownClass], where: str) -> tuple[KnownClass, ...]:
    """Find classes by name, without regard to case, or by identifier.

    Args:
        requested: As typed.
        known: All classes.
        where: The data set's name, for messages.

    Returns:
        One per name, each once, in the order of `requested`.

    Raises:
        UsageError: A name is unknown, or the name of several classes; lists similar ones.
    """
    identifiers = {each.identifier.casefold(): each for each in known}
    names: defaultdict[str, list[KnownClass]] = defaultdict(list)
    for each in known:
        for name in dict.fromkeys(map(_key, each.names)):
            names[name].append(each)
    found = [identifiers.get(text.strip().casefold()) or _only(text, names, where) for text in requested]
    if not found:
        raise UsageError(
            f"no class is named; give one or several {option('classes')} NAME",
            code="missing_argument",
            parameter="classes",
        )
    return tuple(dict.fromkeys(found))


def _only(text: str, names: Mapping[str, Sequence[KnownClass]], where: str) -> KnownClass:
    found = names.get(_key(text), ())
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(each.described for each in found[:6])
        raise UsageError(
            f"{option('classes')} {text!r}: {where} has {len(found)} classes of that name; give {choices}",
            code="ambiguous_name",
            parameter="classes",
        )
    near = name_the_nearest(_key(text), list(names), otherwise="")
    reason = f"no such class; {near}" if near else "no such class, nor one with a similar name; try another word"
    raise UsageError(f"{option('classes')} {text!r}: {where} has {reason}", code="unknown_name", parameter="classes")


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").casefold().split())


def folder_names(classes: Sequence[KnownClass]) -> tuple[str, ...]:
    """A folder name for each class: its own, made safe; with the identifier where two would be the same."""
    safe = [safe_name(each.name) for each in classes]
    keys = [name.casefold() for name in safe]
    return tuple(
        name if keys.count(name.casefold()) == 1 else f"{name} ({safe_name(each.identifier)})"
        for name, each in zip(safe, classes, strict=True)
    )
