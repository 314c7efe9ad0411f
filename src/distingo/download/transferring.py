"""One attempt at one file: from the network into a partial file, checked while it comes.

What has come of a file so far, and what a server needs to be told to send the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from distingo.datasets.decoding.formats import describe_non_picture, detect_format
from distingo.download.asking import Answer, ask, translated_errors
from distingo.download.connections import Connections
from distingo.download.records import LastingError, Limits, PassingError, StoppedError, WantedFile
from distingo.files import content_hash, parse_json


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a server said when it began to send a file.

    Attributes:
        url: The address, as it was given.
        etag: Its strong validator, or empty.
        modified: Its date of change, or empty.
        total: How many bytes it announced for the whole, or None.
        final_url: The address that answered, after redirects.
    """

    url: str
    etag: str
    modified: str
    total: int | None
    final_url: str


class PartialFile:
    """A file under way: its bytes and, beside them, what the server said about the whole.

    Attributes:
        path: The bytes.
    """

    def __init__(self, folder: Path, wanted: WantedFile) -> None:
        """Name the place; nothing is written.

        Args:
            folder: Of all partial files.
            wanted: The file.
        """
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
        """What to ask for: the rest, if what is there is sure to be the beginning of the same file; else all of it."""
        done, beginning = self.size(), self.read_beginning()
        if not done or beginning is None or (beginning.total is not None and done > beginning.total):
            return {}
        validator = beginning.etag or beginning.modified
        if not validator and not self._wanted.checksum:
            return {}
        return {"Range": f"bytes={done}-", **({"If-Range": validator} if validator else {})}

    def read_beginning(self) -> Beginning | None:
        """What was said when the file was begun; None where that is unknown, or was said of another address."""
        try:
            beginning = Beginning(**parse_json(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return beginning if beginning.url == self._wanted.url else None

    def whole_from(self) -> str | None:
        """Where it came from, if all that was announced is there: only its name was missing when a run was killed."""
        beginning = self.read_beginning()
        return beginning.final_url if beginning is not None and beginning.total == self.size() > 0 else None

    def begin(self, beginning: Beginning) -> None:
        """Forget what is there and start anew."""
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
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


_LOOKED_AT = 2048

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Transport:
    """By what means files are fetched.

    Attributes:
        connections: To ask through.
        limits: How patient, and how large.
        report: Told, as bytes come, the file's name, how many more, how many are there now, and how many the whole
            has (None: unknown).
        stopped: Asked whether to break off.
        allow_private: As in `ask`.
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
        url: The address that answered.
        size: In bytes.
        format: What it is.
        sha256: In hexadecimal.
    """

    url: str
    size: int
    format: str
    sha256: str


class _Inspection:
    """Checks a file while it goes by."""

    def __init__(self, wanted: WantedFile, largest: int) -> None:
        self._wanted = wanted
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
        if len(self._head) < _LOOKED_AT:
            self._head += data[: _LOOKED_AT - len(self._head)]
            if len(self._head) == _LOOKED_AT:
                self._check_format()

    def _check_format(self) -> str:
        found = detect_format(self._head)
        if self._wanted.formats is not None and found not in self._wanted.formats:
            raise LastingError("refused", str(describe_non_picture(found) or f"not a picture ({found})"), found)
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
    """Fetch a file, or what is missing of it, into its partial file.

    Args:
        wanted: The file.
        part: Where it goes; what is there already is gone on from where the server can tell that it is the same.
        transport: By what means.

    Returns:
        The file, whole and as it should be.

    Raises:
        LastingError: No other attempt would end differently; the partial file is gone.
        PassingError: Another one may; what has come is kept where it may be of use.
        StoppedError: As asked.
        OSError: The partial file can't be written.
    """
    largest = transport.limits.largest
    inspection = _Inspection(wanted, wanted.largest if largest is None else largest)
    try:
        if url := part.whole_from():
            with part.path.open("rb") as file:
                _inspect(file, inspection, part.size())
            return _finish(part, inspection, url)
        with ask(
            transport.connections, wanted.url, part.request_headers(), allow_private=transport.allow_private
        ) as answer:
            return _take(wanted, part, answer, inspection, transport)
    except LastingError:
        part.discard()
        raise


def _take(
    wanted: WantedFile, part: PartialFile, answer: Answer, inspection: _Inspection, transport: Transport
) -> Received:
    """What a server sends, into the partial file."""
    done = _agree_on_start(wanted, part, answer)
    total = None if answer.length is None else done + answer.length
    inspection.check_announced(total)
    with part.path.open("r+b", buffering=0) as file:
        _inspect(file, inspection, done)
        transport.report(wanted.name, 0, done, total)
        rate = _Rate(transport.limits)
        with translated_errors():
            for data in answer.response.iter_stream():
                answer.stream.satisfy()
                if transport.stopped():
                    raise StoppedError
                inspection.add(data)
                file.write(data)
                transport.report(wanted.name, len(data), inspection.size, total)
                rate.check(len(data))
        _check_length(part, answer, inspection.size - done)
        received = _finish(part, inspection, answer.url)
        os.fsync(file.fileno())
    return received


class _Rate:
    """Gives up a transfer that is alive, but would take for ever."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._count = 0

    def check(self, count: int) -> None:
        self._count += count
        seconds = time.monotonic() - self._since
        if seconds < self._limits.stall_timeout:
            return
        if self._count < self._limits.minimum_rate * seconds:
            raise PassingError(f"the server sends {self._count / seconds:,.0f} bytes a second, which is too slow")
        self._since, self._count = time.monotonic(), 0


def _inspect(file: IO[bytes], inspection: _Inspection, size: int) -> None:
    """Check what is there already."""
    while file.tell() < size:
        inspection.add(file.read(min(_CHUNK, size - file.tell())))


def _agree_on_start(wanted: WantedFile, part: PartialFile, answer: Answer) -> int:
    """How many bytes of the partial file go before what the server is about to send."""
    beginning = part.read_beginning()
    if answer.status == 416:
        part.discard()
        raise PassingError("the server has no such part of it; begun anew", 0.0)
    if answer.status == 206:
        done = part.size()
        match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", answer.headers.get("content-range", ""))
        fits = match is not None and int(match[1]) == done and beginning is not None
        if fits and match is not None and beginning is not None:
            fits = match[3] == "*" or beginning.total in {None, int(match[3])}
            fits = fits and (not beginning.etag or answer.headers.get("etag", beginning.etag) == beginning.etag)
        if not fits:
            part.discard()
            raise PassingError("the server sent another part than asked for; begun anew", 0.0)
        return done
    etag = answer.headers.get("etag", "")
    strong = "" if etag.startswith("W/") else etag
    modified = answer.headers.get("last-modified", "")
    part.begin(Beginning(wanted.url, strong, modified, answer.length, answer.url))
    return 0


def _check_length(part: PartialFile, answer: Answer, came: int) -> None:
    """Refuse a body that is longer than announced: what was cut off would look like a whole file."""
    if answer.length is not None and (more := answer.stream.surplus(answer.length)):
        answer.stream.close()  # what is left in it would be taken for the next answer
        part.discard()
        raise PassingError(f"the server announced {answer.length:,} bytes and sent at least {came + more:,}")


def _finish(part: PartialFile, inspection: _Inspection, url: str) -> Received:
    try:
        return inspection.finish(url)
    except PassingError:
        part.discard()  # whole, but wrong: nothing to go on from
        raise
