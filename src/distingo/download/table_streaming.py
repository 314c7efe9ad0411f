"""Streaming of tables of gigabytes over the network, of which only the matching lines are stored."""

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

from distingo.download.connections import Connections
from distingo.download.records import Limits, PermanentError, TemporaryError
from distingo.download.request import Response, request, waiting_time
from distingo.errors import DataError
from distingo.files import atomic_writer
from distingo.progress import TransferProgress, transfer_bar

_Result = TypeVar("_Result")

_BOM = b"\xef\xbb\xbf"
_LONGEST = 1 << 20
_WORTHWHILE = 1 << 16  # bytes; a connection that received less counts as a failed attempt
_AGAIN = "run the same command again later"


@dataclass(frozen=True, slots=True)
class TableQuery:
    """A table, and the condition for the lines to keep.

    Attributes:
        url: URL of a comma-separated UTF-8 CSV file with a header.
        column: Name of the column to compare; the cells before it must not contain commas or quotes.
        values: The lines to keep are those whose cell in that column is one of these values (UTF-8).
    """

    url: str
    column: str
    values: Container[bytes]


def matching_lines(chunks: Iterable[bytes], query: TableQuery) -> Iterator[bytes]:
    """Yield the header and the matching lines of a table, with at most a chunk and a line in memory.

    Args:
        chunks: The table's bytes in chunks of any size.
        query: The lines to keep.

    Yields:
        Complete lines with their line end; they may contain quoted line breaks.

    Raises:
        DataError: The content is not such a table.
    """
    column = -1
    unfinished: list[bytes] = []  # a matching line whose end has not arrived yet
    for block in _complete_lines(chunks, query.url):
        lines = unfinished + block
        unfinished, used = [], 0
        if column < 0:
            column, used = _find_column(lines[0], query), 1
            yield lines[0].removeprefix(_BOM) + b"\n"
        for index in _matches(lines, column, query.values):
            if index < used:
                continue
            line, used = _complete(lines, index, query.url)
            if not line:
                unfinished = lines[index:]
                break
            yield line + b"\n"
    if column < 0 or unfinished:
        raise DataError(
            f"{query.url}: {'a quote is never closed' if unfinished else 'is empty'}; a table was expected",
            code="unexpected_answer",
        )


def _complete_lines(chunks: Iterable[bytes], url: str) -> Iterator[list[bytes]]:
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


def _find_column(first: bytes, query: TableQuery) -> int:
    names = first.removeprefix(_BOM).rstrip(b"\r").split(b",")
    if query.column.encode() not in names:
        begins = first[:80].decode("utf-8", "replace")
        raise DataError(
            f"{query.url}: is not the table that it was; no column {query.column}, it begins {begins!r}",
            code="unexpected_answer",
        )
    return names.index(query.column.encode())


def _matches(lines: list[bytes], at: int, values: Container[bytes]) -> list[int]:
    """Find the indices of matching lines; optimized for hundreds of millions of lines with few matches."""
    if at == 0:
        return [index for index, line in enumerate(lines) if line[: line.find(b",")] in values]
    try:
        return [index for index, line in enumerate(lines) if line.split(b",", at + 1)[at].rstrip(b"\r") in values]
    except IndexError:  # an empty or short line among them
        cells = [line.split(b",", at + 1) for line in lines]
        return [index for index, row in enumerate(cells) if len(row) > at and row[at].rstrip(b"\r") in values]


def _complete(lines: list[bytes], index: int, url: str) -> tuple[bytes, int]:
    """Join lines until every quote is closed.

    Returns:
        The line, or empty bytes if its end has not arrived yet; and the index of the line after it.
    """
    line, end = lines[index], index + 1
    while line.count(b'"') % 2:
        if len(line) > _LONGEST:
            raise DataError(f"{url}: is damaged (a quote is never closed)", code="damaged_download")
        if end == len(lines):
            return b"", end
        line, end = line + b"\n" + lines[end], end + 1
    return line, end


class _TornError(Exception):
    """The bytes received so far and the next ones do not belong to the same version of the file."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """Requests tables.

    Attributes:
        connections: The connections to use.
        limits: Limits on attempts and waiting times.
        allow_private: As in `request`.
    """

    connections: Connections
    limits: Limits
    allow_private: bool = False

    def read(self, url: str) -> bytes:
        """Read a small table into memory.

        Raises:
            DataError: The table can't be downloaded.
        """
        return b"".join(self._read_consistently(url, list))

    def keep_lines(self, query: TableQuery, path: Path) -> None:
        """Write a table's header and its matching lines to a file, atomically, when the table was read to its end.

        After a broken connection, the transfer resumes if the table is unchanged. Otherwise, or if the MD5 differs from
        the one that the server announces (``x-goog-hash``), it starts again.

        Args:
            query: The table, and the lines to keep.
            path: The file to write.

        Raises:
            DataError: The table can't be downloaded, or its content is not as expected.
            ResourceError: The file can't be written.
        """

        def write(chunks: Iterable[bytes]) -> None:
            with atomic_writer(path) as file:
                file.writelines(matching_lines(chunks, query))

        self._read_consistently(query.url, write)

    def _read_consistently(self, url: str, use: Callable[[Iterable[bytes]], _Result]) -> _Result:
        """Pass the bytes of a file to `use`, and start again if the file has changed in the meantime."""
        for _ in range(self.limits.attempts):
            try:
                with (
                    transfer_bar(f"reading {url.rpartition('/')[2]}", 1) as progress,
                    closing(_Reading(url, self, progress).chunks()) as chunks,
                ):
                    return use(chunks)
            except _TornError:
                continue
            except (PermanentError, TemporaryError) as error:
                raise DataError(f"{url}: {error}; {_AGAIN}", code="download_failed") from error
        raise DataError(
            f"{url}: changes while it comes, or comes damaged, {self.limits.attempts} times; {_AGAIN}",
            code="damaged_download",
        )


class _Reading:
    """Reads a file to its end, over several connections if necessary."""

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
            done_before = self._done
            try:
                yield from self._rest()
                break
            except TemporaryError as error:
                fruitless = 1 if self._done > done_before + _WORTHWHILE else fruitless + 1
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
        source = self._source
        with request(source.connections, self._url, headers, allow_private=source.allow_private) as response:
            skip = self._agree_on_start(response)
            total = None if response.length is None else response.length + self._done - skip
            for data in response.chunks(source.limits):
                new_bytes = data[skip:]
                skip = max(0, skip - len(data))
                self._done += len(new_bytes)
                self._md5.update(new_bytes)
                self._progress.advance(self._url, len(new_bytes), total)
                if new_bytes:
                    yield new_bytes
            if response.surplus():
                raise _TornError

    def _agree_on_start(self, response: Response) -> int:
        """Return the number of bytes at the start of the response that have already been received."""
        if not self._done:
            if response.status != 200:
                raise _TornError
            self._etag = response.etag
            self._announced = _announced_md5(response.body.headers)
            return 0
        if response.status == 206:
            match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
            if match is None or int(match[1]) != self._done or response.etag not in {"", self._etag}:
                raise _TornError
            return 0
        if response.status != 200 or response.etag != self._etag:
            raise _TornError
        return self._done


def _announced_md5(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Parse the MD5 in Google Cloud Storage's ``x-goog-hash`` headers (base64); returns hexadecimal, or empty."""
    hashes = b",".join(value for name, value in headers if name.lower() == b"x-goog-hash")
    match = re.search(rb"md5=([A-Za-z0-9+/]{22}==)", hashes)
    return base64.b64decode(match[1]).hex() if match else ""
