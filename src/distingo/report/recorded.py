"""Sentences that other commands wrote into the run folder, in the language of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from distingo.language import current_language, gettext
from distingo.report.recorded_sentences import RECORDED
from distingo.report.wording import count

_PLACE = re.compile(r"%\((\w+)\)s")
_WHOLE_NUMBER = re.compile(r"\d+|\d{1,3}(,\d{3})+")


def recorded(sentence: str) -> str:
    """A sentence of a run folder's files as the page says it.

    The files of a run are in English, whatever language its pages are in. A sentence that is known by its pattern is
    translated; what stands in its places (names of classes and files, figures) stays as it is, but for thousands.
    One that is not known stays in English.

    Args:
        sentence: As it was recorded.
    """
    if current_language() == "en":
        return sentence
    return _translated(sentence) or sentence


def is_known(sentence: str) -> bool:
    """Whether a recorded sentence has a pattern here, and so a translation."""
    return _find(sentence) is not None


def _translated(sentence: str) -> str | None:
    found = _find(sentence)
    if found is None:
        return None
    message, values = found
    return gettext(message, **{name: _value(name, value) for name, value in values.items()})


def _value(name: str, value: str) -> str:
    if name.startswith("said"):  # a sentence inside a sentence
        return recorded(value)
    return count(int(value.replace(",", ""))) if _WHOLE_NUMBER.fullmatch(value) else value


def _find(sentence: str) -> tuple[str, dict[str, str]] | None:
    for message, pattern in _patterns(RECORDED):
        match = pattern.fullmatch(sentence)
        if match and all(is_known(value) for name, value in match.groupdict().items() if name.startswith("said")):
            return message, match.groupdict()
    return None


@cache
def _patterns(messages: Sequence[str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The patterns, those with most words of their own first."""
    ranked = sorted(messages, key=lambda message: -len(_PLACE.sub("", message)))
    return tuple((message, _pattern(message)) for message in ranked)


def _pattern(message: str) -> re.Pattern[str]:
    pieces = _PLACE.split(message)
    parts = [f"(?P<{piece}>.+?)" if at % 2 else re.escape(piece.replace("%%", "%")) for at, piece in enumerate(pieces)]
    return re.compile("".join(parts), re.DOTALL)
