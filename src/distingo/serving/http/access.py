"""Who may ask a server on this machine: clients, host names, origins, keys and rates; and what is refused.

The server of `distingo serve` and the local page of `distingo review` share these guards. A refusal is a status and a
sentence, and the JSON that carries them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import ipaddress
import json
import math
import socket
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from distingo.errors import ResourceError, UsageError, option

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_BACKLOG = 1024

_CUSTOMER_BITS = 64

_MAPPED_BITS = 96
"""Before the IPv4 address in an IPv6 one that holds it (RFC 4291, section 2.5.5.2)."""

_ANY = "*"

_DEFAULT_PORTS = {"http": 80, "https": 443}

_SHORTEST_KEY = 16

_MOST_REMEMBERED = 10_000


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that all workers share.

    Raises:
        ResourceError: The port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise cannot_listen(host, port, error) from error
    listening.settimeout(0)
    return listening


def cannot_listen(host: str, port: int, error: Exception) -> ResourceError:
    """The error of a port that is taken, or of an address that is none of this machine's."""
    reason = getattr(error, "strerror", None) or str(error)
    return ResourceError(
        f"{host}, port {port}: can't listen there ({reason}); choose another {option('port')}",
        code="port_unavailable",
        parameter="port",
    )


def local_url(host: str, port: int) -> str:
    """The address that a client on this machine opens, for a server that listens on a host."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@functools.lru_cache(4096)
def client_of(address: str) -> str:
    """The name under which a client's requests are counted.

    Args:
        address: As the socket or a trusted proxy has it.

    Returns:
        An IPv4 address; of IPv6 the network of 64 bits, since one customer has as many addresses as it likes; anything
        else unchanged.
    """
    try:
        parsed = _unmapped(ipaddress.ip_address(address))
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), _CUSTOMER_BITS), strict=False))


class Proxies:
    """Addresses whose connections carry the requests of many clients.

    A socket that takes IPv6 has IPv4 addresses as ``::ffff:192.0.2.1``; both ways to write one mean the same.

    Args:
        listed: Addresses, networks such as ``10.0.0.0/8``, or ``*`` for all.

    Raises:
        ValueError: One is neither.
    """

    def __init__(self, listed: Sequence[str]) -> None:
        self._all = _ANY in listed
        self._networks = tuple(_network(name) for name in listed if name != _ANY)

    def contains(self, address: str) -> bool:
        """Whether an address is one of them."""
        if self._all or not self._networks:
            return self._all
        try:
            parsed = _unmapped(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def text_forms(self) -> list[str]:
        """All of them for a program that compares addresses as text: IPv4 ones in both ways to write them."""
        if self._all:
            return [_ANY]
        names = []
        for network in self._networks:
            names.append(str(network))
            if isinstance(network, ipaddress.IPv4Network):
                names.append(f"::ffff:{network.network_address}/{_MAPPED_BITS + network.prefixlen}")
        return names


def _unmapped(address: _Address) -> _Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    network = ipaddress.ip_network(name, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def host_name(host: str) -> str | None:
    """The name in a Host header, or as a person writes it.

    Args:
        host: A name or address, perhaps with a port.

    Returns:
        The name in lower case without port, brackets and final dot, one of other letters as browsers send it
        (``bücher.example`` is ``xn--bcher-kva.example``); None where it is no name.
    """
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    try:
        parts = urlsplit(f"//{host}")
        name, _port = (parts.hostname or "").rstrip("."), parts.port
        if not name or any(map(str.isspace, name)) or parts.netloc != host or parts.username is not None:
            return None
        return str(ipaddress.ip_address(name)) if ":" in name else name.encode("idna").decode("ascii")
    except ValueError:
        return None


def host_port(host: str, default: int | None = None) -> int | None:
    """The port in a Host header; the default where it names none or is damaged."""
    try:
        return urlsplit(f"//{host}").port or default
    except ValueError:
        return default


def is_own_host(host: str, listens_on: str, allowed: Collection[str | None] = ()) -> bool:
    """Whether a Host header names this server.

    A name that an attacker's server resolves to this machine (DNS rebinding) does not. A server that listens beyond
    this machine may be called by any address, since numbers can't be rebound, and by the machine's own name.

    Args:
        host: The header.
        listens_on: The address that the server listens on.
        allowed: Other names, as `host_name` writes them.
    """
    name = host_name(host)
    if name is None or name in LOOPBACK or name in allowed:
        return name is not None
    if listens_on in LOOPBACK:
        return False
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return name in {listens_on.lower(), socket.gethostname().lower()}


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page's origin is what a request's Host header names.

    Args:
        origin: As a browser has it, such as ``https://example.org:8443``.
        host: The Host header; without a port the usual one of the origin's scheme counts.
    """
    scheme, separator, place = origin.lower().partition("://")
    if not separator or host_name(place) is None:
        return False
    usual = _DEFAULT_PORTS.get(scheme)
    return (host_name(place), host_port(place, usual)) == (host_name(host), host_port(host, usual))


def is_cross_site(headers: Mapping[str, str], *, writes: bool = True) -> bool:
    """Whether a browser says that another site's page sends this (cross-site request forgery).

    Args:
        headers: By names in lower case.
        writes: Whether the request changes anything: then its origin counts too.
    """
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return True
    origin = headers.get("origin")
    return writes and origin is not None and not is_same_origin(origin, headers.get("host", ""))


def security_headers(*, images: str = "'self'", media: str = "'none'") -> dict[str, str]:
    """Headers of every answer: a page loads from its own server only, and nobody may frame it or store what it shows.

    Args:
        images: Sources that the page's images come from.
        media: Sources of its videos.
    """
    return {
        "content-security-policy": (
            f"default-src 'none'; img-src {images}; media-src {media}; style-src 'self'; script-src 'self'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(self), geolocation=(), microphone=()",
        "cache-control": "no-store",
    }


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Read a file with one key a line; empty lines and those that begin with ``#`` do not count.

    Returns:
        SHA-256 of each key.

    Raises:
        UsageError: The file can't be read, holds no key, or a key could be guessed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise UsageError(
            f"{option('api_key_file')} {path}: can't be read ({reason})", code="cannot_read", parameter="api_key_file"
        ) from error
    keys = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not keys:
        raise UsageError(
            f"{option('api_key_file')} {path}: holds no key; write one a line, for example from `openssl rand -hex 32`",
            code="empty_file",
            parameter="api_key_file",
        )
    if any(len(key) < _SHORTEST_KEY for key in keys):
        raise UsageError(
            f"{option('api_key_file')} {path}: a key of fewer than {_SHORTEST_KEY} characters can be guessed; make it "
            "longer",
            code="weak_key",
            parameter="api_key_file",
        )
    return tuple(map(hash_key, keys))


def hash_key(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def find_key(headers: Mapping[str, str], hashes: Sequence[bytes]) -> bytes | None:
    """The hash of a request's key, from ``Authorization: Bearer ...`` or ``X-API-Key: ...``, if it is accepted.

    Takes equally long whichever key it is.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    sent = key.strip() if scheme.lower() == "bearer" and key.strip() else headers.get("x-api-key")
    hashed = None if sent is None else hash_key(sent)
    match = None
    for each in hashes:
        if hashed is not None and hmac.compare_digest(hashed, each):
            match = each
    return match


class RateLimit:
    """Token buckets: a minute's requests at once at the most, then at an even pace.

    Args:
        per_minute: Requests of each client.
        now: Seconds, from any clock that only goes forward.
    """

    def __init__(self, per_minute: float, now: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1.0, per_minute)
        self._pace = per_minute / 60
        self._now = now
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, client: Hashable) -> int:
        """Count a request; 0 where it is allowed, else whole seconds until the next one is."""
        now = self._now()
        left, since = self._buckets.pop(client, (self._most, now))
        left = min(self._most, left + (now - since) * self._pace)
        wait = 0 if left >= 1 else math.ceil((1 - left) / self._pace)
        self._buckets[client] = (left - 1 if wait == 0 else left, now)
        if len(self._buckets) > _MOST_REMEMBERED:
            self._buckets.popitem(last=False)
        return wait


RETRY_SECONDS = 1
"""Seconds after which a client may try again at a full queue: many batches are scored in this time."""


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        reason: What came, what is allowed and what to do, in one sentence; nothing of the machine's insides.
        closes: Whether the connection ends with the answer, because not all that was sent has been read.
        retry: Seconds after which it may be sent again, where waiting helps.
    """

    def __init__(self, status: int, reason: str, *, closes: bool = False, retry: int = RETRY_SECONDS) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.closes = closes
        self.retry = retry

    def anew(self) -> RefusedError:
        """The same refusal, to be raised where this one is a local variable.

        An error that is held by a frame of its own traceback keeps all that the frame holds.
        """
        return RefusedError(self.status, self.reason, closes=self.closes, retry=self.retry)


def error_body(status: int, reason: str, path: str = "") -> bytes:
    """An error as JSON, in the shape of the protocol that the path belongs to."""
    error = reason if path.startswith(("/v1", "/v2")) else {"status": status, "reason": reason}
    return json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def free_frames(error: BaseException) -> None:
    """Free what the frames of an error's traceback, and of its causes', hold: whole bodies, for instance.

    To be called where an error is kept as a value or has been handled. A refusal loses its tracebacks and causes; of
    other errors the lines stay, for the log.
    """
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    for each in chain:
        if isinstance(error, RefusedError):
            each.__traceback__ = each.__cause__ = each.__context__ = None
        else:
            traceback.clear_frames(each.__traceback__)
