"""The wanted lines of a table that is too large to hold."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from distingo.errors import DataError

_LONGEST = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class WantedLines:
    """A table, and which of its lines are wanted.

    Attributes:
        url: Its address: a CSV file (UTF-8, commas) whose first line names the columns.
        column: What the wanted lines are known by. No cell before it has commas or quotes in it.
        values: Wanted are the lines whose cell in that column is one of these (UTF-8).
    """

    url: str
    column: str
    values: Container[bytes]


def matching_lines(chunks: Iterable[bytes], wanted: WantedLines) -> Iterator[bytes]:
    """Pass on the first line of a table and the wanted ones; holds no more than a chunk and a line.

    Args:
        chunks: The table's bytes, cut anywhere.
        wanted: Which lines.

    Yields:
        Whole lines, each with its end; one with quoted line breaks in it comes whole.

    Raises:
        DataError: It is no such table.
    """
    at = -1
    carried: list[bytes] = []  # a wanted line whose end has not come yet
    for block in _whole_lines(chunks, wanted.url):
        lines = carried + block
        carried, used = [], 0
        if at < 0:
            at, used = _find_column(lines[0], wanted), 1
            yield lines[0].removeprefix(_BOM) + b"\n"
        for index in _matches(lines, at, wanted.values):
            if index < used:
                continue
            line, used = _complete(lines, index, wanted.url)
            if not line:
                carried = lines[index:]
                break
            yield line + b"\n"
    if at < 0 or carried:
        raise DataError(f"{wanted.url}: {'a quote is never closed' if carried else 'is empty'}; a table was expected")


def _whole_lines(chunks: Iterable[bytes], url: str) -> Iterator[list[bytes]]:
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > _LONGEST:
            raise DataError(f"{url}: is no table of text (a line has over {_LONGEST:,} bytes)")
        if lines:
            yield lines
    if rest:
        yield [rest]


def _find_column(first: bytes, wanted: WantedLines) -> int:
    names = first.removeprefix(_BOM).rstrip(b"\r").split(b",")
    if wanted.column.encode() not in names:
        begins = first[:80].decode("utf-8", "replace")
        raise DataError(f"{wanted.url}: is not the table that it was; no column {wanted.column}, it begins {begins!r}")
    return names.index(wanted.column.encode())


def _matches(lines: list[bytes], at: int, values: Container[bytes]) -> list[int]:
    """Positions of the wanted lines. Hundreds of millions of lines go by here, a few in a million are wanted."""
    if at == 0:
        return [index for index, line in enumerate(lines) if line[: line.find(b",")] in values]
    try:
        return [index for index, line in enumerate(lines) if line.split(b",", at + 1)[at].rstrip(b"\r") in values]
    except IndexError:  # an empty or short line among them
        cells = [line.split(b",", at + 1) for line in lines]
        return [index for index, row in enumerate(cells) if len(row) > at and row[at].rstrip(b"\r") in values]


def _complete(lines: list[bytes], index: int, url: str) -> tuple[bytes, int]:
    """Join lines until every quote is closed; returns the line, empty where more must come, and where to go on."""
    line, end = lines[index], index + 1
    while line.count(b'"') % 2:
        if len(line) > _LONGEST:
            raise DataError(f"{url}: is damaged (a quote is never closed)")
        if end == len(lines):
            return b"", end
        line, end = line + b"\n" + lines[end], end + 1
    return line, end
