"""Tables of gigabytes over the network: they go by, and only the wanted lines are kept on the disk.

The wanted lines of a table that is too large to hold.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distingo.download.asking import Answer, ask, waiting_time
from distingo.download.connections import Connections
from distingo.download.records import LastingError, Limits, PassingError
from distingo.errors import DataError
from distingo.files import atomic_writer
from distingo.progress import TransferProgress, transfer_bar

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
        raise DataError(
            f"{wanted.url}: {'a quote is never closed' if carried else 'is empty'}; a table was expected",
            code="unexpected_answer",
        )


def _whole_lines(chunks: Iterable[bytes], url: str) -> Iterator[list[bytes]]:
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > _LONGEST:
            raise DataError(
                f"{url}: is no table of text (a line has over {_LONGEST:,} bytes)", code="unexpected_answer"
            )
        if lines:
            yield lines
    if rest:
        yield [rest]


def _find_column(first: bytes, wanted: WantedLines) -> int:
    names = first.removeprefix(_BOM).rstrip(b"\r").split(b",")
    if wanted.column.encode() not in names:
        begins = first[:80].decode("utf-8", "replace")
        raise DataError(
            f"{wanted.url}: is not the table that it was; no column {wanted.column}, it begins {begins!r}",
            code="unexpected_answer",
        )
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
            raise DataError(f"{url}: is damaged (a quote is never closed)", code="damaged_download")
        if end == len(lines):
            return b"", end
        line, end = line + b"\n" + lines[end], end + 1
    return line, end


_Result = TypeVar("_Result")

_WORTHWHILE = 1 << 16  # bytes; a connection that brought less counts as a failed attempt

_AGAIN = "run the same command again later"


class _TornError(Exception):
    """What has come and what would come next are not of the same file."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """How tables are asked for.

    Attributes:
        connections: To ask through.
        limits: How patiently.
        allow_private: As in `ask`.
    """

    connections: Connections
    limits: Limits
    allow_private: bool = False

    def read(self, url: str) -> bytes:
        """Read a small table whole.

        Raises:
            DataError: It can't be had.
        """
        return b"".join(self._untorn(url, list))

    def keep_lines(self, wanted: WantedLines, path: Path) -> None:
        """Write a table's first line and the wanted ones to a file, which appears when all of the table has gone by.

        A broken connection is gone on from where it broke, if the table is still the same one; else the table is begun
        anew, and so it is where the whole has not the MD5 that the server announces (``x-goog-hash``).

        Args:
            wanted: The table, and which lines.
            path: Where to.

        Raises:
            DataError: The table can't be had, or is another one than expected.
            ResourceError: The file can't be written.
        """

        def write(chunks: Iterable[bytes]) -> None:
            with atomic_writer(path) as file:
                file.writelines(matching_lines(chunks, wanted))

        self._untorn(wanted.url, write)

    def _untorn(self, url: str, use: Callable[[Iterable[bytes]], _Result]) -> _Result:
        """Give the bytes of one and the same file to `use`; from the start again where they turned out not to be."""
        for _ in range(self.limits.attempts):
            try:
                with (
                    transfer_bar(f"reading {url.rpartition('/')[2]}", 1) as progress,
                    closing(_Reading(url, self, progress).chunks()) as chunks,
                ):
                    return use(chunks)
            except _TornError:
                continue
            except (LastingError, PassingError) as error:
                raise DataError(f"{url}: {error}; {_AGAIN}", code="download_failed") from error
        raise DataError(
            f"{url}: changes while it comes, or comes damaged, {self.limits.attempts} times; {_AGAIN}",
            code="damaged_download",
        )


class _Reading:
    """One file from beginning to end, over as many connections as it takes."""

    def __init__(self, url: str, source: TableSource, progress: TransferProgress) -> None:
        self._url = url
        self._source = source
        self._progress = progress
        self._done = 0
        self._etag = ""
        self._announced = ""
        self._md5 = hashlib.md5(usedforsecurity=False)

    def chunks(self) -> Generator[bytes]:
        limits = self._source.limits
        fruitless = 0
        while True:
            before = self._done
            try:
                yield from self._rest()
                break
            except PassingError as error:
                fruitless = 1 if self._done > before + _WORTHWHILE else fruitless + 1
                if fruitless >= limits.attempts or (error.wait or 0.0) > limits.longest_wait:
                    raise
                time.sleep(waiting_time(fruitless, limits, error.wait))
        if self._announced and self._md5.hexdigest() != self._announced:
            raise _TornError

    def _rest(self) -> Generator[bytes]:
        headers = {}
        if self._done:
            if not self._etag:
                raise _TornError
            headers = {"Range": f"bytes={self._done}-", "If-Range": self._etag}
        limits, private = self._source.limits, self._source.allow_private
        with ask(self._source.connections, self._url, headers, allow_private=private) as answer:
            skip = self._agree_on_start(answer)
            total = None if answer.length is None else answer.length + self._done - skip
            since, counted = time.monotonic(), 0
            for data in answer.response.iter_stream():
                answer.stream.satisfy()
                counted += len(data)
                if (seconds := time.monotonic() - since) >= limits.stall_timeout:
                    if counted < limits.minimum_rate * seconds:
                        raise PassingError(f"the server sends {counted / seconds:,.0f} bytes a second")
                    since, counted = time.monotonic(), 0
                fresh = data[skip:]
                skip = max(0, skip - len(data))
                self._done += len(fresh)
                self._md5.update(fresh)
                self._progress.advance(self._url, len(fresh), total)
                if fresh:
                    yield fresh
            if answer.length is not None and answer.stream.surplus(answer.length):
                answer.stream.close()
                raise _TornError  # what came looks whole and is not

    def _agree_on_start(self, answer: Answer) -> int:
        """How many of the bytes that are about to come have come already."""
        etag = answer.headers.get("etag", "")
        etag = "" if etag.startswith("W/") else etag
        if not self._done:
            if answer.status != 200:
                raise _TornError
            self._etag = etag
            self._announced = _announced_md5(answer.response.headers)
            return 0
        if answer.status == 206:
            match = re.match(r"bytes (\d+)-", answer.headers.get("content-range", ""))
            if match is None or int(match[1]) != self._done or etag not in {"", self._etag}:
                raise _TornError
            return 0
        if answer.status != 200 or etag != self._etag:
            raise _TornError
        return self._done


def _announced_md5(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The MD5 that Google's storage announces (base64, in one of several ``x-goog-hash``), as hexadecimal; or empty."""
    hashes = b",".join(value for name, value in headers if name.lower() == b"x-goog-hash")
    match = re.search(rb"md5=([A-Za-z0-9+/]{22}==)", hashes)
    return base64.b64decode(match[1]).hex() if match else ""
