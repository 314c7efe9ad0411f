"""Lists of a path and a label on each line with white space between them, as many training programs take them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from distingo.datasets.endings import PICTURE_ENDINGS

_ENDINGS = "|".join(sorted(re.escape(ending) for ending in PICTURE_ENDINGS))
_QUOTED = r"""(?P<quote>["'])(?P<quoted>.+?)(?P=quote)"""
_LINE = re.compile(rf"\s*(?:{_QUOTED}|(?P<plain>\S.*?(?:{_ENDINGS})))[ \t]+(?P<rest>\S.*)", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LOOKED_AT = 64


def is_list(lines: Sequence[str], *, any_name: bool) -> bool:
    """Whether lines are a path and a label each.

    Args:
        lines: Of a text.
        any_name: Whether names without the ending of an image count too; then each line holds exactly two words.
    """
    looked_at = list(islice((line for line in lines if line.strip()), _LOOKED_AT))
    if not looked_at or any("\t" in line.strip() for line in looked_at):
        return False  # tabs make a table
    body = looked_at[1:] or looked_at  # the first line may hold names
    if all(_LINE.fullmatch(line) for line in body):
        return len(looked_at[0].split()) > 1
    return any_name and all(len(line.split()) == 2 and not set(line) & set(",;|") for line in looked_at)


def split_list(lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The rows of a list.

    Args:
        lines: For which `is_list` is true.

    Returns:
        The number of each line that is not empty, with the path and what follows it: one label, or, where as many
        numbers follow every path, each of them.
    """
    rows = [(at, _halves(line)) for at, line in enumerate(lines, 1) if line.strip()]
    words = [row[1].split() if len(row) > 1 else [] for _, row in rows]
    several = len(words[-1])
    numbers = all(len(each) == several and all(map(_NUMBER.fullmatch, each)) for each in words[1:] or words)
    if several > 1 and numbers and len(words[0]) == several:
        return [(at, [row[0], *each]) for (at, row), each in zip(rows, words, strict=True)]
    return rows


def _halves(line: str) -> list[str]:
    match = _LINE.fullmatch(line.rstrip())
    if match is None:
        return line.strip().split(maxsplit=1)
    return [match["quoted"] or match["plain"], match["rest"].rstrip()]
