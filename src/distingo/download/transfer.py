"""One attempt at one file: from the network into a partial file, checked while it comes.

A partial file is resumed where the server can confirm that it still is the beginning of the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from distingo.datasets.decoding.formats import detect_format, why_no_image
from distingo.download.connections import Connections
from distingo.download.records import LastingError, Limits, PassingError, StoppedError, WantedFile
from distingo.download.request import Response, request
from distingo.files import content_hash, parse_json

_HEAD = 2048
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a server announced when it began to send a file.

    Attributes:
        url: The address, as it was requested.
        etag: Its strong validator, or empty.
        modified: Its date of change, or empty.
        total: How many bytes it announced for the whole, or None.
        final_url: The address that responded, after redirects.
    """

    url: str
    etag: str
    modified: str
    total: int | None
    final_url: str


class PartialFile:
    """An unfinished file: its bytes and, next to them, what the server announced.

    Attributes:
        path: The bytes.
    """

    def __init__(self, folder: Path, wanted: WantedFile) -> None:
        """Name its place in the folder of all partial files; nothing is written."""
        self._wanted = wanted
        key = content_hash(wanted.name.encode("utf-8", "surrogatepass"))
        self.path = folder / f"{key}.part"
        self._note = folder / f"{key}.json"

    def size(self) -> int:
        """How many bytes are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def request_headers(self) -> dict[str, str]:
        """Request the rest, if what is there is certain to be the beginning of the same file; else all of it."""
        done, beginning = self.size(), self.read_beginning()
        if not done or beginning is None or (beginning.total is not None and done > beginning.total):
            return {}
        validator = beginning.etag or beginning.modified
        if not validator and not self._wanted.checksum:
            return {}
        return {"Range": f"bytes={done}-", **({"If-Range": validator} if validator else {})}

    def read_beginning(self) -> Beginning | None:
        """What was announced; None where that is unknown, or was about another address."""
        try:
            beginning = Beginning(**parse_json(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return beginning if beginning.url == self._wanted.url else None

    def whole_from(self) -> str | None:
        """Where it came from, if all that was announced is there: a killed run had only not named it yet."""
        beginning = self.read_beginning()
        return beginning.final_url if beginning is not None and beginning.total == self.size() > 0 else None

    def begin(self, beginning: Beginning) -> None:
        """Discard what is there and start anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps(asdict(beginning)), encoding="utf-8")

    def finish(self, target: Path) -> None:
        """Give the file its name; the caller has made sure that it is free."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Transport:
    """How files are downloaded.

    Attributes:
        connections: To use.
        limits: How patient, and how large.
        report: Notified, as bytes come, of the file's name, how many more, how many are there now, and how many the
            whole has (None: unknown).
        stopped: Whether to break off.
        allow_private: As in `request`.
    """

    connections: Connections
    limits: Limits
    report: Callable[[str, int, int, int | None], None]
    stopped: Callable[[], bool]
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Received:
    """A whole and checked file, still under its partial name.

    Attributes:
        url: The address that responded.
        size: In bytes.
        format: What it is.
        sha256: In hexadecimal.
    """

    url: str
    size: int
    format: str
    sha256: str


class _Inspection:
    """Checks the bytes of a file while they pass."""

    def __init__(self, wanted: WantedFile, limits: Limits) -> None:
        self._wanted = wanted
        largest = wanted.largest if limits.largest is None else limits.largest
        self._largest = largest if wanted.size is None else min(largest, wanted.size)
        self._kind, _, self._expected = wanted.checksum.partition(":")
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if self._kind == "md5" else None
        self._head = b""
        self.size = 0

    def check_announced(self, total: int | None) -> None:
        if total is None:
            return
        if self._wanted.size is not None and total != self._wanted.size:
            raise LastingError("refused", f"the server announces {total:,} bytes where {self._wanted.size:,} belong")
        self._check_size(total)

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            raise LastingError("refused", f"larger than the {self._largest:,} bytes allowed")

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._check_size(self.size)
        self._sha256.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        if len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
            if len(self._head) == _HEAD:
                self._check_format()

    def add_file(self, file: IO[bytes], size: int) -> None:
        """Check the first bytes of a file, which are there already."""
        while file.tell() < size:
            self.add(file.read(min(_CHUNK, size - file.tell())))

    def _check_format(self) -> str:
        found = detect_format(self._head)
        if self._wanted.formats is not None and found not in self._wanted.formats:
            raise LastingError("refused", why_no_image(found), found)
        return found

    def finish(self, url: str) -> Received:
        found = self._check_format()
        if self._wanted.size is not None and self.size != self._wanted.size:
            raise PassingError(f"{self.size:,} bytes came where {self._wanted.size:,} belong")
        digest = self._sha256.hexdigest()
        came = self._md5.hexdigest() if self._md5 is not None else digest
        if self._expected and came != self._expected.lower():
            raise PassingError(f"its {self._kind} is {came} where {self._expected} belongs")
        return Received(url, self.size, found, digest)


def transfer(wanted: WantedFile, part: PartialFile, transport: Transport) -> Received:
    """Download a file, or what is missing of it, into its partial file.

    Args:
        wanted: The file.
        part: Where it goes; it is resumed where the server can confirm that it is the same file.
        transport: How.

    Returns:
        The file, whole and as it should be.

    Raises:
        LastingError: No other attempt would end differently; the partial file is gone.
        PassingError: Another one may; what has come is kept where it may be of use.
        StoppedError: `Transport.stopped`.
        OSError: The partial file can't be written.
    """
    inspection = _Inspection(wanted, transport.limits)
    try:
        if url := part.whole_from():
            with part.path.open("rb") as file:
                inspection.add_file(file, part.size())
            return _finish(part, inspection, url)
        headers, private = part.request_headers(), transport.allow_private
        with request(transport.connections, wanted.url, headers, allow_private=private) as response:
            return _receive(wanted, part, response, inspection, transport)
    except LastingError:
        part.discard()
        raise


def _receive(
    wanted: WantedFile, part: PartialFile, response: Response, inspection: _Inspection, transport: Transport
) -> Received:
    done = _agree_on_start(wanted, part, response)
    total = None if response.length is None else done + response.length
    inspection.check_announced(total)
    with part.path.open("r+b", buffering=0) as file:
        inspection.add_file(file, done)
        transport.report(wanted.name, 0, done, total)
        for data in response.chunks(transport.limits):
            if transport.stopped():
                raise StoppedError
            inspection.add(data)
            file.write(data)
            transport.report(wanted.name, len(data), inspection.size, total)
        if more := response.surplus():
            part.discard()
            came = inspection.size - done + more
            raise PassingError(f"the server announced {response.length:,} bytes and sent at least {came:,}")
        received = _finish(part, inspection, response.url)
        os.fsync(file.fileno())
    return received


def _agree_on_start(wanted: WantedFile, part: PartialFile, response: Response) -> int:
    """How many bytes of the partial file are before what the server is about to send."""
    if response.status == 416:
        part.discard()
        raise PassingError("the server has no such part of it; begun anew", 0.0)
    if response.status == 206:
        done = part.size()
        if not _continues(part.read_beginning(), done, response):
            part.discard()
            raise PassingError("the server sent another part than requested; begun anew", 0.0)
        return done
    modified = response.headers.get("last-modified", "")
    part.begin(Beginning(wanted.url, response.etag, modified, response.length, response.url))
    return 0


def _continues(beginning: Beginning | None, done: int, response: Response) -> bool:
    """Whether a partial response follows on what has been received, and is of the same file."""
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", response.headers.get("content-range", ""))
    if match is None or int(match[1]) != done or beginning is None:
        return False
    same_total = match[3] == "*" or beginning.total in {None, int(match[3])}
    return same_total and (not beginning.etag or response.headers.get("etag", beginning.etag) == beginning.etag)


def _finish(part: PartialFile, inspection: _Inspection, url: str) -> Received:
    try:
        return inspection.finish(url)
    except PassingError:
        part.discard()  # whole, but wrong: nothing to resume
        raise
