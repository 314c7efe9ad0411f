"""The language of pages and model cards, with one catalog of messages per language (GNU gettext).

The code contains the English messages; ``messages/<language>/LC_MESSAGES/distingo.po`` contains their translations,
and ``make messages`` synchronizes the two.
"""

from __future__ import annotations

import gettext as _catalogs
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

Language = Literal["en", "es", "zh"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

VARIABLE = "DISTINGO_LANGUAGE"
"""The environment variable with the default language."""

_THIN = "\u202f"
"""Thousands separator: a narrow no-break space."""

_TAGS: dict[Language, str] = {"en": "en", "es": "es", "zh": "zh-Hans"}

_current: ContextVar[Language] = ContextVar("distingo language", default="en")


@contextmanager
def use_language(language: Language) -> Iterator[None]:
    """Context manager that sets the current language and restores the previous one at its end."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def current_language() -> Language:
    """Return the language set by `use_language`; English by default."""
    return _current.get()


def language_tag() -> str:
    """Return the BCP 47 tag of the current language, for ``<html lang>``."""
    return _TAGS[_current.get()]


def translated(message: str) -> str:
    """Translate a message without filling in its values; a message that the catalog lacks stays English."""
    return catalog().gettext(message)


def gettext(message: str, **values: object) -> str:
    """Translate a message to the current language and fill in its values.

    Args:
        message: In English, with ``%(name)s`` for a value and ``%%`` for a percent sign.
        **values: The values by name.
    """
    return translated(message) % values


def ngettext(one: str, many: str, num: int, **values: object) -> str:
    """Translate a message with a number, in the plural form of that number.

    Args:
        one: English singular.
        many: English plural.
        num: The number; also the value of ``%(num)s`` unless `values` has one.
        **values: As for `gettext`.
    """
    return catalog().ngettext(one, many, num) % {"num": num, **values}


def pgettext(context: str, message: str, **values: object) -> str:
    """Translate a message whose translation depends on the context in which it is used."""
    return catalog().pgettext(context, message) % values


def count(number: int) -> str:
    """Format an integer with thousands separators, for example ``60,000``; in Spanish ``60 000`` and ``2100``."""
    if current_language() != "es":
        return f"{number:,}"
    return f"{number:,}".replace(",", _THIN) if abs(number) >= 10_000 else str(number)


def listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence, for example ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return gettext("%(first)s and %(last)s", first=translated(", ").join(parts[:-1]), last=parts[-1])


def catalog() -> _catalogs.NullTranslations:
    """Return the message catalog of the current language."""
    return _catalog(_current.get())


@cache
def _catalog(language: Language) -> _catalogs.NullTranslations:
    if language == "en":
        return _catalogs.NullTranslations()
    return _catalogs.translation("distingo", Path(__file__).parent / "messages", [language])
