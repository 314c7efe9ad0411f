"""Tables of gigabytes over the network: they go by, and only the wanted lines are kept on the disk."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distingo.download.asking import Answer, ask, waiting_time
from distingo.download.connections import Connections
from distingo.download.failures import LastingError, PassingError
from distingo.download.records import Limits
from distingo.download.table_lines import WantedLines, matching_lines
from distingo.errors import DataError
from distingo.files import atomic_writer
from distingo.progress import TransferProgress, transfer_bar

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
                raise DataError(f"{url}: {error}; {_AGAIN}") from error
        raise DataError(f"{url}: changes while it comes, or comes damaged, {self.limits.attempts} times; {_AGAIN}")


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
