"""The settings of a server: its address, access control, limits, and the runs that it serves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict

from distingo.errors import RunError, UsageError, option
from distingo.files import content_hash
from distingo.options.commands import DeviceOption
from distingo.options.fields import Option, check_options
from distingo.runs.folder import RunFolder
from distingo.serving.http.access import LOOPBACK, Proxies, host_name

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)

_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A run folder and the name under which its model is served.

    Attributes:
        name: The name in URLs and responses.
        path: The run folder.
    """

    name: str
    path: Path


API_KEY_FILE = Option(
    help="file with one key per line; only requests with one of these keys are answered", default="none", metavar="FILE"
)
"""The option for the file whose keys become `ServeSettings.key_hashes`."""


class ServeOptions(TypedDict, total=False):
    """Options of a server: its address, access control and limits; see `ServeSettings` for their meaning."""

    host: str
    port: int
    workers: int
    device: str
    max_upload: int
    max_pixels: int
    max_images: int
    max_pictures: int
    max_wait: float
    max_batch: int
    queue: int
    client_connections: int
    decode_timeout: float
    decode_memory: int
    api_key_file: str | Path | None
    rate_limit: int | None
    allowed_hosts: str | Sequence[str]
    proxies: str | Sequence[str]
    corrections: str | Path | None
    new_classes: bool


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Addresses and limits of one server.

    Fields that are options are described by their `Option`.

    Attributes:
        body_timeout: Seconds in which a request's body must arrive.
        header_timeout: Seconds in which a request's header must arrive.
        idle_timeout: Seconds after a response in which the next request on the connection must begin.
        write_timeout: Seconds in which a client must receive a response, or 256 KB of it.
        max_connections: Largest number of connections of each worker.
        grace: Seconds that requests in flight get to finish when the server stops.
        key_hashes: SHA-256 of each accepted key; if empty, every client is accepted.
    """

    host: Annotated[
        str,
        Option(
            help="address to listen on; the default is reachable from this machine only, any other needs keys",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Option(help="port to listen on; 0 selects a free one", low=0, high=65535, default="8000", metavar="N"),
    ] = 8000
    workers: Annotated[
        int,
        Option(
            help="processes that serve on one socket; a process that dies is restarted", low=1, high=256, metavar="N"
        ),
    ] = 1
    device: DeviceOption = "auto"
    max_upload: Annotated[
        int,
        Option(
            help="maximum size of a request's body, such as 20MB",
            low=1024,
            high=2**31,
            between="1KB to 2GB",
            default="32MB",
            metavar="SIZE",
            parse=read_size,
        ),
    ] = 32 * 2**20
    max_pixels: Annotated[
        int, Option(help="maximum width times height of an image", low=1, high=2**32, metavar="N")
    ] = 50_000_000
    max_images: Annotated[
        int,
        Option(
            help="maximum number of images in a request",
            low=1,
            high=10_000,
            metavar="N",
            flags=("--max-pictures",),
            alias="max_pictures",
        ),
    ] = 64
    max_wait: Annotated[
        float,
        Option(
            help="maximum time that a decoded image waits for others that are being decoded, in "
            "milliseconds on the command line, in seconds in Python",
            low=0,
            high=1,
            between="0 to 1 s",
            default="5 ms",
            metavar="MS",
            parse=lambda text: float(text) / 1000,
        ),
    ] = 0.005
    max_batch: Annotated[
        int, Option(help="maximum number of images predicted together", low=1, high=1024, metavar="N")
    ] = 32
    queue: Annotated[
        int,
        Option(
            help="maximum number of accepted but unanswered images per worker; further ones are answered with 503",
            low=1,
            high=100_000,
            metavar="N",
        ),
    ] = 256
    body_timeout: float = 30.0
    header_timeout: float = 10.0
    idle_timeout: float = 20.0
    write_timeout: float = 30.0
    max_connections: int = 900
    client_connections: Annotated[
        int,
        Option(
            help="maximum number of connections per address and worker, except for proxies; 0 sets no limit",
            low=0,
            high=1_000_000,
            metavar="N",
        ),
    ] = 100
    decode_timeout: Annotated[
        float,
        Option(
            help="maximum seconds for decoding one image; three times that for all images of a request",
            low=0.1,
            high=3600,
            metavar="S",
        ),
    ] = 10.0
    decode_memory: Annotated[
        int,
        Option(
            help="memory of each worker for decoding large and unusual images; one image takes at most half of it",
            low=128 * 2**20,
            high=2**40,
            between="128MB or more",
            default="800MB",
            metavar="SIZE",
            parse=read_size,
        ),
    ] = 800 * 2**20
    grace: float = 30.0
    rate_limit: Annotated[
        int | None,
        Option(
            help="maximum number of requests per minute per key, or per address without keys",
            low=1,
            default="none",
            metavar="N",
        ),
    ] = None
    key_hashes: tuple[bytes, ...] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        Option(
            help="host name besides localhost that requests may use, such as a proxy's",
            default="none",
            metavar="NAME",
            flag="--allow-host",
            repeats=True,
            accepts=str | Sequence[str],
        ),
    ] = ()
    proxies: Annotated[
        tuple[str, ...],
        Option(
            help="address of a proxy that is trusted to report the client's address, a network such as "
            "10.0.0.0/8, or * for all",
            default="none",
            metavar="ADDRESS",
            flag="--proxy",
            repeats=True,
            accepts=str | Sequence[str],
        ),
    ] = ()
    corrections: Annotated[
        Path | None,
        Option(
            help="SQLite file for corrections from the page, with their images",
            default="none are kept",
            metavar="FILE.sqlite",
            accepts=str | Path | None,
        ),
    ] = None
    new_classes: Annotated[bool, Option(help="accept corrections with classes that the model does not have")] = False

    def check(self) -> None:
        """Validate the settings before a model is loaded.

        Raises:
            UsageError: A number is out of range, an allowed host or proxy is invalid, options conflict, or the server
                would be reachable from other machines without a key.
        """
        check_options(self)
        if self.max_images > self.queue:
            raise UsageError(
                f"{option('max_images')} {self.max_images} is more than {option('queue')} {self.queue}: such a "
                "request would never fit",
                code="options_conflict",
                parameter="max_images",
            )
        if self.new_classes and self.corrections is None:
            raise UsageError(
                f"{option('new_classes')}: is about corrections; name the file that stores them with "
                f"{option('corrections')} FILE",
                code="needs_other_option",
                parameter="new_classes",
            )
        self._check_addresses()
        if self.host not in LOOPBACK and not self.key_hashes:
            raise UsageError(
                f"{option('host')} {self.host}: others could reach the server, and all would be accepted; name a file "
                f"of keys with {option('api_key_file')}, or leave {option('host')} out",
                code="unsafe_setting",
                parameter="host",
            )

    def _check_addresses(self) -> None:
        for name in self.allowed_hosts:
            if host_name(name) is None:
                raise UsageError(
                    f"{option('allowed_hosts')} {name}: is no host name; give one such as images.example.org",
                    code="invalid_name",
                    parameter="allowed_hosts",
                )
        for name in self.proxies:
            try:
                Proxies((name,))
            except ValueError as error:
                raise UsageError(
                    f"{option('proxies')} {name}: is no address; give one such as 10.0.0.2, a network such as "
                    "10.0.0.0/8, or * for all",
                    code="invalid_value",
                    parameter="proxies",
                ) from error


def name_runs(runs: Sequence[str | Path]) -> tuple[NamedRun, ...]:
    """Determine the name under which each run is served.

    Args:
        runs: Run folders or ``NAME=FOLDER``; the name defaults to that of the folder.

    Raises:
        UsageError: There are no runs, two have the same name, or a name can't be part of a URL.
    """
    named_runs: list[NamedRun] = []
    for run in runs:
        name, equals, folder = str(run).partition("=")
        if isinstance(run, Path) or not equals or "/" in name or Path(str(run)).exists():
            name, folder = Path(run).resolve().name, str(run)
        if not name or not folder or not name.isprintable() or set(name) & set("/\\?#%:"):
            raise UsageError(
                f"{run}: its name can't be part of an address; give NAME=RUN with a plain name",
                code="invalid_name",
                parameter="runs",
            )
        if name in {other.name for other in named_runs}:
            raise UsageError(
                f"{run}: a model named {name} is served already; give one of them as NAME=RUN",
                code="named_twice",
                parameter="runs",
            )
        named_runs.append(NamedRun(name, Path(folder)))
    if not named_runs:
        raise UsageError("no run is named: give at least one run folder", code="missing_argument", parameter="runs")
    return tuple(named_runs)


def read_size(text: str) -> int:
    """Convert a text such as ``20MB``, ``512K`` or ``1000000`` to bytes; K, M and G are powers of 1,024.

    Raises:
        UsageError: The text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size; write for example 20MB", code="invalid_value", parameter="max_upload")
    return int(float(match[1]) * _FACTORS[match[2].upper()])


def read_version(run: Path) -> str:
    """The version of the model in a run folder: twelve digits of the hash of ``model.json``.

    Raises:
        RunError: The run folder contains no finished model.
    """
    folder = run if (run / "model.json").is_file() else RunFolder(run).model
    try:
        return content_hash((folder / "model.json").read_bytes())[:_DIGITS]
    except OSError:
        from distingo.runs.config import read_config  # not at the top: it imports Pillow, which would slow down --help

        read_config(RunFolder(run))
        raise RunError(f"{run}: its training has not ended; there is no model in it yet", code="unfinished") from None
