"""What is to be downloaded, within which limits, and what became of it.

The errors are those of a single transfer, and never leave this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from distingo.options.fields import Option, check_options

FetchStatus = Literal["fetched", "absent", "refused", "failed"]
"""There, and checked; the server does not give it; we do not take it (opted out, too large, no image, a forbidden
address); stopped by something that may have passed when the command is run again."""

IMAGES = frozenset({"JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "JPEG 2000", "AVIF", "HEIF", "PPM"})
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
    """How politely, how patiently and how much is fetched.

    What the fields that are options do stands in their `Option`.

    Attributes:
        connect_timeout: Seconds until a connection must stand.
        stall_timeout: Seconds that a server may send nothing of what was requested.
        minimum_rate: Bytes per second, on average over `stall_timeout`, below which a transfer is given up.
        backoff: Seconds before the second attempt; doubles with each, give or take a half.
        longest_wait: Seconds; a server that asks for more patience is left alone.
    """

    connections: Annotated[int, Option(help="connections at once, in all", low=1, metavar="N")] = 32
    per_host: Annotated[int, Option(help="connections at once to one host", low=1, metavar="N")] = 4
    connect_timeout: float = 10.0
    stall_timeout: float = 30.0
    minimum_rate: float = 1024.0
    largest: Annotated[
        int | None,
        Option(
            help="bytes of the largest file that is fetched",
            low=1,
            default="256 MiB, of archives and sets more",
            metavar="N",
            flag="--max-bytes",
        ),
    ] = None
    attempts: Annotated[
        int, Option(help="how often a file is tried before it counts as failed", low=1, metavar="N")
    ] = 5
    backoff: float = 1.0
    longest_wait: float = 300.0

    def __post_init__(self) -> None:
        check_options(self)


class FetchOptions(TypedDict, total=False):
    """How politely and how much is fetched, and what is requested again."""

    limits: Limits | None
    try_refused: bool
    allow_private_addresses: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchSettings:
    """How politely and how much is fetched, and what is requested again."""

    limits: Annotated[
        Limits | None, Option(help="how politely, how patiently and how much", default="the defaults of `Limits`")
    ] = None
    try_refused: Annotated[bool, Option(help="ask again for what was absent, refused, or removed since")] = False
    allow_private_addresses: Annotated[
        bool, Option(help="fetch from this machine or its network; redirects there are never followed")
    ] = False


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
        format: What came in its place, as `detect_format` names it; empty where nothing came.
    """

    def __init__(self, status: FetchStatus, reason: str, detected: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.format = detected


class StoppedError(TransferError):
    """The whole run is being stopped; the file has no outcome yet."""
