"""Lookup of classes of large public data sets by name, and names for their class folders."""

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
        identifier: Identifier in the data set: ``/m/01226z``, ``n04118538``.
        names: All names, the usual one first.
        meaning: Definition that distinguishes classes of the same name; may be empty.
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
        """Identifier and meaning, for a message that lists several classes."""
        meaning = self.meaning or ", ".join(self.names)
        return f"{self.identifier} ({meaning if len(meaning) <= 60 else meaning[:59].rstrip() + '…'})"


def find_classes(requested: Iterable[str], known: Sequence[KnownClass], where: str) -> tuple[KnownClass, ...]:
    """Find classes by name, ignoring case, or by identifier.

    Args:
        requested: The names or identifiers that a user typed.
        known: All classes.
        where: The data set's name, for messages.

    Returns:
        The classes without repetitions, in the order of `requested`.

    Raises:
        UsageError: A name is unknown or ambiguous; the message lists candidates.
    """
    identifiers = {each.identifier.casefold(): each for each in known}
    names: defaultdict[str, list[KnownClass]] = defaultdict(list)
    for each in known:
        for name in dict.fromkeys(map(_key, each.names)):
            names[name].append(each)
    classes = [identifiers.get(text.strip().casefold()) or _only(text, names, where) for text in requested]
    if not classes:
        raise UsageError(
            f"no class is named; give one or several {option('classes')} NAME",
            code="missing_argument",
            parameter="classes",
        )
    return tuple(dict.fromkeys(classes))


def _only(text: str, names: Mapping[str, Sequence[KnownClass]], where: str) -> KnownClass:
    matches = names.get(_key(text), ())
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = " or ".join(each.described for each in matches[:6])
        raise UsageError(
            f"{option('classes')} {text!r}: {where} has {len(matches)} classes of that name; give {choices}",
            code="ambiguous_name",
            parameter="classes",
        )
    near = name_the_nearest(_key(text), list(names), otherwise="")
    reason = f"no such class; {near}" if near else "no such class, nor one with a similar name; try another word"
    raise UsageError(f"{option('classes')} {text!r}: {where} has {reason}", code="unknown_name", parameter="classes")


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").casefold().split())


def folder_names(classes: Sequence[KnownClass]) -> tuple[str, ...]:
    """Choose a valid folder name for each class; if names collide, the identifier is appended."""
    safe = [safe_name(each.name) for each in classes]
    keys = [name.casefold() for name in safe]
    return tuple(
        name if keys.count(name.casefold()) == 1 else f"{name} ({safe_name(each.identifier)})"
        for name, each in zip(safe, classes, strict=True)
    )
