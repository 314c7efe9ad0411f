"""The language that pages and model cards are written in: one catalog of sentences for each (GNU gettext).

Sentences stand in English where they are used; ``messages/<language>/LC_MESSAGES/distingo.po`` holds their
translations, and ``make messages`` brings both together.
"""

from __future__ import annotations

import gettext as _catalogs
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from distingo.errors import UsageError, option

Language = Literal["en", "es", "zh"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

VARIABLE = "DISTINGO_LANGUAGE"
"""The environment variable that names the language of whoever does not say another."""

_THIN = "\u202f"
"""A narrow space that never breaks, between thousands."""

_TAGS: dict[Language, str] = {"en": "en", "es": "es", "zh": "zh-Hans"}

_written: ContextVar[Language] = ContextVar("distingo language", default="en")


def settle_language(wanted: str | None) -> Language:
    """The language to write in: the wanted one, else the environment's, else English.

    Args:
        wanted: ``en``, ``es`` or ``zh``; None takes what ``DISTINGO_LANGUAGE`` says.

    Raises:
        UsageError: There is no such language.
    """
    said = wanted if wanted is not None else os.environ.get(VARIABLE) or "en"
    for language in LANGUAGES:
        if said == language:
            return language
    where = option("language") if wanted is not None else VARIABLE
    raise UsageError(
        f"{where} {said}: is no language of the pages; choose {', '.join(LANGUAGES)}",
        code="unknown_name",
        parameter="language",
    )


@contextmanager
def written_in(language: Language) -> Iterator[None]:
    """Let everything that is written inside be written in a language; the one before is back afterwards."""
    token = _written.set(language)
    try:
        yield
    finally:
        _written.reset(token)


def current_language() -> Language:
    """The language that is being written in."""
    return _written.get()


def language_tag() -> str:
    """The BCP 47 tag of the language that is being written in, for ``<html lang>``."""
    return _TAGS[_written.get()]


def translated(message: str) -> str:
    """A message as it stands in the catalog, with its places; the English one where it is not there."""
    return catalog().gettext(message)


def gettext(message: str, **values: object) -> str:
    """A sentence in the language that is being written in.

    Args:
        message: In English, with ``%(name)s`` where a value stands and ``%%`` for a percent sign.
        **values: What stands there.
    """
    return translated(message) % values


def ngettext(one: str, many: str, num: int, **values: object) -> str:
    """A sentence with a number, in the plural form that the number takes.

    Args:
        one: In English, for 1.
        many: In English, for other numbers.
        num: The number; it also stands in for ``%(num)s`` if no other value does.
        **values: As of `gettext`.
    """
    return catalog().ngettext(one, many, num) % {"num": num, **values}


def pgettext(context: str, message: str, **values: object) -> str:
    """A word that needs to be distinguished from the same English word elsewhere, by where it stands."""
    return catalog().pgettext(context, message) % values


def count(number: int) -> str:
    """A whole number with its thousands set apart, for example ``60,000``; in Spanish ``60 000`` and ``2100``."""
    if current_language() != "es":
        return f"{number:,}"
    return f"{number:,}".replace(",", _THIN) if abs(number) >= 10_000 else str(number)


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence in a row, for example ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return gettext("%(first)s and %(last)s", first=translated(", ").join(parts[:-1]), last=parts[-1])


def catalog() -> _catalogs.NullTranslations:
    """The sentences of the language that is being written in."""
    return _catalog(_written.get())


@cache
def _catalog(language: Language) -> _catalogs.NullTranslations:
    if language == "en":
        return _catalogs.NullTranslations()
    return _catalogs.translation("distingo", Path(__file__).parent / "messages", [language])
