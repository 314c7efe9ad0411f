"""What shall be fetched, within which limits, and what became of it.

Why one file is not there: the errors of a single transfer, which never leave this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FetchStatus = Literal["fetched", "absent", "refused", "failed"]
"""There, and checked; the server does not give it; we do not take it (opted out, too large, no picture, a forbidden
address); hindered by something that may have passed when the command is run again."""

PICTURE_ENDINGS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "WebP": ".webp",
    "JPEG 2000": ".jp2",
    "AVIF": ".avif",
    "HEIF": ".heic",
    "PPM": ".ppm",
}
"""What a file of each format of pictures is named, by `detect_format`'s name of it."""

PICTURES = frozenset(PICTURE_ENDINGS)


@dataclass(frozen=True, slots=True)
class WantedFile:
    """One file to fetch.

    Attributes:
        url: Its address, http or https.
        name: Where it shall be: relative to the folder, with forward slashes; different for every file, also
            without regard to case.
        formats: What it may turn out to be (`detect_format`'s names); None allows everything.
        ending: Whether the ending of what it turns out to be is put after `name`.
        checksum: ``md5:...`` or ``sha256:...`` in hexadecimal; empty where none is known.
        size: In bytes, exactly; None where unknown.
        largest: In bytes, unless `Limits.largest` says otherwise.
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
        connect_timeout: Seconds until a connection must stand.
        stall_timeout: Seconds that a server may send nothing of what was asked for.
        minimum_rate: Bytes per second, on average over `stall_timeout`, below which a transfer is given up.
        largest: Bytes that any file may have; None leaves that to `WantedFile.largest`.
        attempts: How often a file is tried before it counts as failed.
        backoff: Seconds before the second attempt; doubles with each, give or take a half.
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
    """What became of one wanted file.

    Attributes:
        name: As in `WantedFile.name`.
        status: See `FetchStatus`.
        reason: Why it is not there, in words for a person; empty for a fetched file.
        file: The file in the folder, with forward slashes; empty where it is not there.
        url: Its address, as it was given.
        final_url: The address that answered in the end, after redirects.
        size: In bytes; 0 where it is not there.
        format: What it is, as `detect_format` names it.
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
    """One attempt at one file came to nothing; its text is the reason for a person."""


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
        format: What came in its place, as `detect_format` names it; empty where nothing came.
    """

    def __init__(self, status: FetchStatus, reason: str, detected: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.format = detected


class StoppedError(TransferError):
    """The whole run is being stopped; the file has no outcome yet."""
