"""What a server is told: where it listens, whom it answers, and how much it takes.

Versions of served models; read without loading anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.errors import RunError, UsageError, option
from distingo.files import content_hash
from distingo.run_folder import RunFolder
from distingo.serving.clients import Proxies, host_name

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)

_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A run folder and the name that its model is served under.

    Attributes:
        name: In addresses and answers.
        path: The run folder.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Limits and places of one server.

    Attributes:
        host: The address to listen on.
        port: 0 takes one that is free.
        workers: Processes that serve.
        device: Where networks compute.
        max_upload: Bytes of one request's body at most.
        max_pixels: Of one picture, width times height, at most.
        max_pictures: In one request at most.
        max_wait: Seconds that a decoded picture waits at most for others that are being decoded.
        max_batch: Pictures judged together at most.
        queue: Pictures of each worker that are taken in and not answered yet, at most.
        body_timeout: Seconds in which a body must have come.
        header_timeout: Seconds in which a request's head must have come.
        idle_timeout: Seconds after an answer in which a connection's next request must begin.
        write_timeout: Seconds in which a client must have taken an answer, or 256 KB of it.
        max_connections: Of each worker.
        client_connections: Of one address to each worker; 0 sets no limit. Proxies are exempt.
        decode_timeout: Seconds that decoding one image may take; all images of a request may take three times that.
        decode_memory: Bytes that decoding may take of memory beside ordinary images, for each worker; one image may
            take half.
        grace: Seconds that requests in flight are given when the server stops.
        rate_limit: Requests a minute for each key, or address without keys; None sets no limit.
        key_hashes: SHA-256 of each key that is let in; empty lets everybody in.
        allowed_hosts: Names besides the machine's own under which the server may be called.
        proxies: Addresses of proxies whose word about the client's address is believed.
        corrections: The SQLite file that corrections are kept in; None keeps none.
        new_classes: Whether a correction may name a class that the model does not know.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    device: str = "auto"
    max_upload: int = 32 * 2**20
    max_pixels: int = 50_000_000
    max_pictures: int = 64
    max_wait: float = 0.005
    max_batch: int = 32
    queue: int = 256
    body_timeout: float = 30.0
    header_timeout: float = 10.0
    idle_timeout: float = 20.0
    write_timeout: float = 30.0
    max_connections: int = 900
    client_connections: int = 100
    decode_timeout: float = 10.0
    decode_memory: int = 800 * 2**20
    grace: float = 30.0
    rate_limit: int | None = None
    key_hashes: tuple[bytes, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    corrections: Path | None = None
    new_classes: bool = False

    def check(self) -> None:
        """Refuse settings that make no sense, before a model is loaded.

        Raises:
            UsageError: A number is out of range, an allowed host or a proxy is none, or others could reach the server
                without a key.
        """
        ranges = (
            ("port", self.port, 0, 65535),
            ("workers", self.workers, 1, 256),
            ("max_upload", self.max_upload, 1024, 2**31),
            ("max_pixels", self.max_pixels, 1, 2**32),
            ("max_pictures", self.max_pictures, 1, 10_000),
            ("max_wait", self.max_wait, 0, 1),
            ("max_batch", self.max_batch, 1, 1024),
            ("queue", self.queue, 1, 100_000),
            ("client_connections", self.client_connections, 0, 1_000_000),
            ("decode_timeout", self.decode_timeout, 0.1, 3600),
            ("decode_memory", self.decode_memory, 128 * 2**20, 2**40),
        )
        for name, value, least, most in ranges:
            if not least <= value <= most:
                raise UsageError(
                    f"{option(name)} {value:g}: give a number from {least:g} to {most:g}",
                    code="out_of_range",
                    parameter=name,
                )
        if self.rate_limit is not None and self.rate_limit < 1:
            raise UsageError(
                f"{option('rate_limit')} {self.rate_limit}: give 1 request a minute or more",
                code="out_of_range",
                parameter="rate_limit",
            )
        if self.max_pictures > self.queue:
            raise UsageError(
                f"{option('max_pictures')} {self.max_pictures} is more than {option('queue')} {self.queue}: such a "
                "request would never fit",
                code="options_conflict",
                parameter="max_pictures",
            )
        if self.new_classes and self.corrections is None:
            raise UsageError(
                f"{option('new_classes')}: is about corrections; name the file that keeps them with "
                f"{option('corrections')} FILE",
                code="needs_other_option",
                parameter="new_classes",
            )
        self._check_addresses()
        if self.host not in LOOPBACK and not self.key_hashes:
            raise UsageError(
                f"{option('host')} {self.host}: others could reach the server, and anybody would be let in; name a "
                f"file of keys with {option('api_key_file')}, or leave {option('host')} out",
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
    """Give each run the name that it is served under.

    Args:
        runs: Run folders, or ``NAME=FOLDER``; without a name the folder's own counts.

    Raises:
        UsageError: Two have the same name, or a name can't be part of an address.
    """
    named: list[NamedRun] = []
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
        if name in {other.name for other in named}:
            raise UsageError(
                f"{run}: a model named {name} is served already; give one of them as NAME=RUN",
                code="named_twice",
                parameter="runs",
            )
        named.append(NamedRun(name, Path(folder)))
    if not named:
        raise UsageError("no run is named: give at least one run folder", code="missing_argument", parameter="runs")
    return tuple(named)


def read_size(text: str) -> int:
    """Bytes from words such as ``20MB``, ``512K`` or ``1000000``; K, M and G are powers of 1,024.

    Raises:
        UsageError: It is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no size; write for example 20MB", code="invalid_value", parameter="max_upload")
    return int(float(found[1]) * _FACTORS[found[2].upper()])


_DIGITS = 12


def read_version(run: Path) -> str:
    """The version of the model in a run folder: of a hash of ``model.json``, which has the hash of its weights in it.

    Raises:
        RunError: There is no finished model in it.
    """
    folder = run if (run / "model.json").is_file() else RunFolder(run).model
    try:
        return content_hash((folder / "model.json").read_bytes())[:_DIGITS]
    except OSError:
        RunFolder(run).read_config()
        raise RunError(f"{run}: its training has not ended; there is no model in it yet", code="unfinished") from None
