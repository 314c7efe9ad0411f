"""What is to be downloaded, within which limits, and what became of it.

The errors are those of a single transfer, and never leave this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FetchStatus = Literal["fetched", "absent", "refused", "failed"]
"""There, and checked; the server does not give it; we do not take it (opted out, too large, no image, a forbidden
address); stopped by something that may have passed when the command is run again."""

PICTURES = frozenset({"JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "JPEG 2000", "AVIF", "HEIF", "PPM"})
"""The formats (`detect_format`'s names) of files that are accepted as images."""


@dataclass(frozen=True, slots=True)
class WantedFile:
    """One file to download.

    Attributes:
        url: Its address, http or https.
        name: Relative to the folder, with forward slashes; different for every file, also without regard to case.
        formats: What it may be (`detect_format`'s names); None allows everything.
        ending: Whether the ending of its format is put after `name`.
        checksum: ``md5:...`` or ``sha256:...`` in hexadecimal; empty where none is known.
        size: In bytes, exactly; None where unknown.
        largest: In bytes, unless `Limits.largest` is set.
    """

    url: str
    name: str
    formats: frozenset[str] | None = None
    ending: bool = False
    checksum: str = ""
    size: int | None = None
    largest: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How politely, how patiently and how much.

    Attributes:
        connections: At once, in all.
        per_host: At once, to one host.
        connect_timeout: Seconds in which a connection must be made.
        stall_timeout: Seconds that a server may send nothing of what was requested.
        minimum_rate: Bytes per second, on average over `stall_timeout`, below which a transfer is given up.
        largest: Bytes that any file may have; None leaves that to `WantedFile.largest`.
        attempts: How often a file is tried before it counts as failed.
        backoff: Seconds before the second attempt; doubles with each, plus or minus a half.
        longest_wait: Seconds; a server that asks for more patience is left alone.
    """

    connections: int = 32
    per_host: int = 4
    connect_timeout: float = 10.0
    stall_timeout: float = 30.0
    minimum_rate: float = 1024.0
    largest: int | None = None
    attempts: int = 5
    backoff: float = 1.0
    longest_wait: float = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    Attributes:
        name: As in `WantedFile.name`.
        status: See `FetchStatus`.
        reason: Why it is not there, for a person; empty for a downloaded file.
        file: The file in the folder, with forward slashes; empty where it is not there.
        url: Its address, as it was requested.
        final_url: The address that responded in the end, after redirects.
        size: In bytes; 0 where it is not there.
        format: What it is (`detect_format`'s name).
        sha256: Of its bytes, in hexadecimal.
        attempts: How often it was tried by the run that ended it.
    """

    name: str
    status: FetchStatus
    reason: str
    file: str
    url: str
    final_url: str = ""
    size: int = 0
    format: str = ""
    sha256: str = ""
    attempts: int = 1


class TransferError(Exception):
    """One attempt at one file failed; the text is the reason, for a person."""


class PassingError(TransferError):
    """Another attempt may succeed.

    Attributes:
        wait: Seconds that the server asked us to wait, or None.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class LastingError(TransferError):
    """No other attempt would end differently.

    Attributes:
        status: What the file's outcome is.
    """

    def __init__(self, status: FetchStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class StoppedError(TransferError):
    """The whole run is being stopped; the file has no outcome yet."""
