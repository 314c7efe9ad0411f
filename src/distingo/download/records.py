"""Records of a download: requested files and classes, limits and outcomes, and the errors of a single transfer.

The errors never leave this package.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from distingo.errors import UsageError, option, suggest_names
from distingo.options.fields import Option, check_options
from distingo.safe_paths import safe_name

FetchStatus = Literal["fetched", "absent", "refused", "failed"]
"""Downloaded and verified; not available on the server; not accepted (opted out, too large, not an image, a forbidden
address); failed for a reason that may be temporary."""

ReasonCode = Literal["", "private_address"]
"""Codes of reasons: all addresses of the host are private; empty for any other reason."""

IMAGES = frozenset({"JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "JPEG 2000", "AVIF", "HEIF", "PPM"})
"""File formats (names of `detect_format`) that are accepted as images."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download.

    Attributes:
        url: The URL, http or https.
        name: Path relative to the folder, with forward slashes; unique, ignoring case.
        formats: Allowed formats (names of `detect_format`); None allows any file.
        ending: Whether to append the extension of the detected format to `name`.
        checksum: ``md5:...`` or ``sha256:...`` in hexadecimal; empty if unknown.
        size: Exact size in bytes; None if unknown.
        largest: Maximum size in bytes, unless `Limits.largest` is set.
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
    """Limits on connections, attempts, waiting times and sizes.

    Fields that are options are described by their `Option`.

    Attributes:
        connect_timeout: Timeout for a new connection in seconds.
        stall_timeout: Seconds without data after which a transfer is aborted.
        minimum_rate: Minimum mean rate over `stall_timeout` in bytes per second; slower transfers are aborted.
        backoff: Mean wait before the second attempt in seconds; it doubles with each attempt, with 50 % jitter.
        longest_wait: Maximum wait in seconds; if a server requests a longer one, the file fails.
    """

    connections: Annotated[int, Option(help="concurrent connections in total", low=1, metavar="N")] = 32
    per_host: Annotated[int, Option(help="concurrent connections to one host", low=1, metavar="N")] = 4
    connect_timeout: float = 10.0
    stall_timeout: float = 30.0
    minimum_rate: float = 1024.0
    largest: Annotated[
        int | None,
        Option(
            help="maximum size of a file in bytes",
            low=1,
            default="256 MiB, more for archives and sets",
            metavar="N",
            flag="--max-bytes",
        ),
    ] = None
    attempts: Annotated[int, Option(help="attempts per file before it counts as failed", low=1, metavar="N")] = 5
    backoff: float = 1.0
    longest_wait: float = 300.0

    def __post_init__(self) -> None:
        check_options(self)


class FetchOptions(TypedDict, total=False):
    """Limits of a download, and whether to retry refused files and to allow private addresses."""

    limits: Limits | None
    try_refused: bool
    allow_private_addresses: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchSettings:
    """Limits of a download, and whether to retry refused files and to allow private addresses."""

    limits: Annotated[
        Limits | None, Option(help="limits on connections, attempts and sizes", default="the defaults of `Limits`")
    ] = None
    try_refused: Annotated[bool, Option(help="request files again that were missing, refused, or removed since")] = (
        False
    )
    allow_private_addresses: Annotated[
        bool, Option(help="allow addresses of this machine and its network; redirects to them are never followed")
    ] = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of the download of one file.

    Attributes:
        name: As in `RemoteFile.name`.
        status: See `FetchStatus`.
        reason: Why the file is missing, for people; empty for a downloaded file.
        file: Path in the folder, with forward slashes; empty if the file is missing.
        url: The requested URL.
        final_url: The URL of the response, after redirects.
        size: In bytes; 0 if the file is missing.
        format: The detected format (name of `detect_format`).
        sha256: SHA-256 of the content, in hexadecimal.
        attempts: Number of attempts in the run that determined the outcome.
        code: Code of the reason if a program may want to know it; empty for any other reason.
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
    code: ReasonCode = ""


class TransferError(Exception):
    """An attempt to download a file failed; the text is the reason, for people."""


class TemporaryError(TransferError):
    """Another attempt may succeed.

    Attributes:
        wait: Wait in seconds that the server requested, or None.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class PermanentError(TransferError):
    """Another attempt would fail in the same way.

    Attributes:
        status: The file's outcome.
        format: Format of the received file, if it is not an allowed one; else empty.
        code: See `Outcome.code`.
    """

    def __init__(self, status: FetchStatus, reason: str, detected: str = "", *, code: ReasonCode = "") -> None:
        super().__init__(reason)
        self.status = status
        self.format = detected
        self.code = code


class StoppedError(TransferError):
    """The run is being stopped; the file has no outcome yet."""


@dataclass(frozen=True, slots=True)
class CatalogClass:
    """One class of a public data set.

    Attributes:
        identifier: Identifier in the data set: ``/m/01226z``, ``n04118538``.
        names: All names, the usual one first.
        meaning: Definition that distinguishes classes of the same name; may be empty.
    """

    identifier: str
    names: tuple[str, ...]
    meaning: str = ""

    @property
    def name(self) -> str:
        """The usual name."""
        return self.names[0]

    @property
    def described(self) -> str:
        """Identifier and meaning, for a message that lists several classes."""
        meaning = self.meaning or ", ".join(self.names)
        return f"{self.identifier} ({meaning if len(meaning) <= 60 else meaning[:59].rstrip() + '…'})"


def find_classes(requested: Iterable[str], catalog: Sequence[CatalogClass], source: str) -> tuple[CatalogClass, ...]:
    """Find classes by name, ignoring case, or by identifier.

    Args:
        requested: The names or identifiers that a user typed.
        catalog: All classes.
        source: The data set's name, for messages.

    Returns:
        The classes without repetitions, in the order of `requested`.

    Raises:
        UsageError: A name is unknown or ambiguous; the message lists candidates.
    """
    identifiers = {each.identifier.casefold(): each for each in catalog}
    names: defaultdict[str, list[CatalogClass]] = defaultdict(list)
    for each in catalog:
        for name in dict.fromkeys(map(_key, each.names)):
            names[name].append(each)
    classes = [identifiers.get(text.strip().casefold()) or _only(text, names, source) for text in requested]
    if not classes:
        raise UsageError(
            f"no class is named; give one or several {option('classes')} NAME",
            code="missing_argument",
            parameter="classes",
        )
    return tuple(dict.fromkeys(classes))


def _only(text: str, names: Mapping[str, Sequence[CatalogClass]], source: str) -> CatalogClass:
    matches = names.get(_key(text), ())
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = " or ".join(each.described for each in matches[:6])
        raise UsageError(
            f"{option('classes')} {text!r}: {source} has {len(matches)} classes of that name; give {choices}",
            code="ambiguous_name",
            parameter="classes",
        )
    near = suggest_names(_key(text), list(names), otherwise="")
    reason = f"no such class; {near}" if near else "no such class, nor one with a similar name; try another word"
    raise UsageError(f"{option('classes')} {text!r}: {source} has {reason}", code="unknown_name", parameter="classes")


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").casefold().split())


def folder_names(classes: Sequence[CatalogClass]) -> tuple[str, ...]:
    """Choose a valid folder name for each class; if names collide, the identifier is appended."""
    safe = [safe_name(each.name) for each in classes]
    keys = [name.casefold() for name in safe]
    return tuple(
        name if keys.count(name.casefold()) == 1 else f"{name} ({safe_name(each.identifier)})"
        for name, each in zip(safe, classes, strict=True)
    )
