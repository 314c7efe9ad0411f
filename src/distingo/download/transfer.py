"""A single attempt to download a file into a partial file, with checks during the transfer.

A partial file is resumed if the server can confirm that it is still the beginning of the same file.
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

from distingo.datasets.decoding.formats import describe_unusable, detect_format
from distingo.download.connections import Connections
from distingo.download.records import Limits, PermanentError, RemoteFile, StoppedError, TemporaryError
from distingo.download.request import Response, request
from distingo.files import content_hash, parse_json

_HEAD = 2048
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Beginning:
    """Metadata from the response at the beginning of a transfer.

    Attributes:
        url: The requested URL.
        etag: The strong validator, or empty.
        modified: The header ``Last-Modified``, or empty.
        total: The announced size of the complete file in bytes, or None.
        final_url: The URL of the response, after redirects.
    """

    url: str
    etag: str
    modified: str
    total: int | None
    final_url: str


class PartialFile:
    """An unfinished file and, next to it, the metadata of its response.

    Attributes:
        path: The file with the bytes received so far.
    """

    def __init__(self, folder: Path, remote: RemoteFile) -> None:
        """Set the paths in the folder of partial files; nothing is written."""
        self._remote = remote
        key = content_hash(remote.name.encode("utf-8", "surrogatepass"))
        self.path = folder / f"{key}.part"
        self._metadata_path = folder / f"{key}.json"

    def size(self) -> int:
        """Return the number of bytes received so far."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def request_headers(self) -> dict[str, str]:
        """Return headers to request the rest of the file; empty if only the complete file is safe to request."""
        offset, beginning = self.size(), self.read_beginning()
        if not offset or beginning is None or (beginning.total is not None and offset > beginning.total):
            return {}
        validator = beginning.etag or beginning.modified
        if not validator and not self._remote.checksum:
            return {}
        return {"Range": f"bytes={offset}-", **({"If-Range": validator} if validator else {})}

    def read_beginning(self) -> Beginning | None:
        """Read the metadata; None if there are none, or if they belong to another URL."""
        try:
            beginning = Beginning(**parse_json(self._metadata_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return beginning if beginning.url == self._remote.url else None

    def complete_url(self) -> str | None:
        """Return the final URL if the file is complete and an earlier run was killed before renaming it, else None."""
        beginning = self.read_beginning()
        return beginning.final_url if beginning is not None and beginning.total == self.size() > 0 else None

    def begin(self, beginning: Beginning) -> None:
        """Discard the bytes received so far and store new metadata."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._metadata_path.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        self._metadata_path.write_text(json.dumps(asdict(beginning)), encoding="utf-8")

    def finish(self, target: Path) -> None:
        """Move the file to its target, which must not exist."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._metadata_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the file and its metadata."""
        self.path.unlink(missing_ok=True)
        self._metadata_path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Transport:
    """Settings and callbacks of all transfers in a run.

    Attributes:
        connections: The connections to use.
        limits: Limits on times and sizes.
        report: Called when bytes arrive, with the file's name, the number of new bytes, the number of bytes so far, and
            the size of the file (None if unknown).
        stopped: Returns whether to abort.
        allow_private: As in `request`.
    """

    connections: Connections
    limits: Limits
    report: Callable[[str, int, int, int | None], None]
    stopped: Callable[[], bool]
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Received:
    """A complete and verified file that has not been renamed yet.

    Attributes:
        url: The URL of the response.
        size: Size in bytes.
        format: The detected format.
        sha256: SHA-256 of the content, in hexadecimal.
    """

    url: str
    size: int
    format: str
    sha256: str


class _Inspection:
    """Checks the size, format and checksum of a file as its bytes arrive."""

    def __init__(self, remote: RemoteFile, limits: Limits) -> None:
        self._remote = remote
        largest = remote.largest if limits.largest is None else limits.largest
        self._largest = largest if remote.size is None else min(largest, remote.size)
        self._kind, _, self._expected = remote.checksum.partition(":")
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if self._kind == "md5" else None
        self._head = b""
        self.size = 0

    def check_announced(self, total: int | None) -> None:
        if total is None:
            return
        if self._remote.size is not None and total != self._remote.size:
            raise PermanentError("refused", f"the server announces {total:,} bytes where {self._remote.size:,} belong")
        self._check_size(total)

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            raise PermanentError("refused", f"larger than the {self._largest:,} bytes allowed")

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
        """Check the first `size` bytes, which an earlier attempt received."""
        while file.tell() < size:
            self.add(file.read(min(_CHUNK, size - file.tell())))

    def _check_format(self) -> str:
        detected = detect_format(self._head)
        if self._remote.formats is not None and detected not in self._remote.formats:
            raise PermanentError("refused", describe_unusable(detected), detected)
        return detected

    def finish(self, url: str) -> Received:
        detected = self._check_format()
        if self._remote.size is not None and self.size != self._remote.size:
            raise TemporaryError(f"{self.size:,} bytes came where {self._remote.size:,} belong")
        digest = self._sha256.hexdigest()
        checksum = self._md5.hexdigest() if self._md5 is not None else digest
        if self._expected and checksum != self._expected.lower():
            raise TemporaryError(f"its {self._kind} is {checksum} where {self._expected} belongs")
        return Received(url, self.size, detected, digest)


def transfer(remote: RemoteFile, part: PartialFile, transport: Transport) -> Received:
    """Download a file, or the rest of it, into its partial file.

    Args:
        remote: The file.
        part: The partial file, which is resumed if the server can confirm that it is the same file.
        transport: Settings of the transfer.

    Returns:
        The complete and verified file.

    Raises:
        PermanentError: Another attempt would fail in the same way; the partial file is removed.
        TemporaryError: Another attempt may succeed; the bytes received so far are kept if they can be resumed.
        StoppedError: `Transport.stopped` returned True.
        OSError: The partial file can't be written.
    """
    inspection = _Inspection(remote, transport.limits)
    try:
        if url := part.complete_url():
            with part.path.open("rb") as file:
                inspection.add_file(file, part.size())
            return _finish(part, inspection, url)
        headers, private = part.request_headers(), transport.allow_private
        with request(transport.connections, remote.url, headers, allow_private=private) as response:
            return _receive(remote, part, response, inspection, transport)
    except PermanentError:
        part.discard()
        raise


def _receive(
    remote: RemoteFile, part: PartialFile, response: Response, inspection: _Inspection, transport: Transport
) -> Received:
    offset = _agree_on_start(remote, part, response)
    total = None if response.length is None else offset + response.length
    inspection.check_announced(total)
    with part.path.open("r+b", buffering=0) as file:
        inspection.add_file(file, offset)
        transport.report(remote.name, 0, offset, total)
        for data in response.chunks(transport.limits):
            if transport.stopped():
                raise StoppedError
            inspection.add(data)
            file.write(data)
            transport.report(remote.name, len(data), inspection.size, total)
        if more := response.surplus():
            part.discard()
            received_bytes = inspection.size - offset + more
            raise TemporaryError(f"the server announced {response.length:,} bytes and sent at least {received_bytes:,}")
        received = _finish(part, inspection, response.url)
        os.fsync(file.fileno())
    return received


def _agree_on_start(remote: RemoteFile, part: PartialFile, response: Response) -> int:
    """Return the offset in the partial file at which the response continues."""
    if response.status == 416:
        part.discard()
        raise TemporaryError("the server has no such part of it; started again", 0.0)
    if response.status == 206:
        offset = part.size()
        if not _continues(part.read_beginning(), offset, response):
            part.discard()
            raise TemporaryError("the server sent another part than requested; started again", 0.0)
        return offset
    modified = response.headers.get("last-modified", "")
    part.begin(Beginning(remote.url, response.etag, modified, response.length, response.url))
    return 0


def _continues(beginning: Beginning | None, offset: int, response: Response) -> bool:
    """Whether a partial response continues the bytes received so far, and belongs to the same file."""
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", response.headers.get("content-range", ""))
    if match is None or int(match[1]) != offset or beginning is None:
        return False
    same_total = match[3] == "*" or beginning.total in {None, int(match[3])}
    return same_total and (not beginning.etag or response.headers.get("etag", beginning.etag) == beginning.etag)


def _finish(part: PartialFile, inspection: _Inspection, url: str) -> Received:
    try:
        return inspection.finish(url)
    except TemporaryError:
        part.discard()  # complete but wrong, so there is nothing to resume
        raise
