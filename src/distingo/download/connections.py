"""Connections that only go where they may.

A connection that notices servers that stall, or that send more than they say.

Which addresses may be asked: web addresses only, and machines on the public network only.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore2
from httpcore2 import (
    ConnectError,
    ConnectionPool,
    ConnectTimeout,
    HTTPProxy,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    Response,
    SyncBackend,
    default_ssl_context,
)

from distingo.download.records import LastingError, Limits, PassingError
from distingo.version import __version__

if TYPE_CHECKING:
    from httpx2 import URL


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def parse_address(text: str) -> URL:
    """Read a web address; letters outside ASCII are encoded as browsers do.

    Raises:
        LastingError: It is no address that begins with http:// or https:// and names a host.
    """
    from httpx2 import URL, InvalidURL

    try:
        url = URL(text.strip())
    except (InvalidURL, UnicodeError, ValueError) as error:
        raise LastingError("refused", f"{text[:200]!r} is no web address ({error})") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise LastingError("refused", f"{text[:200]!r} is no web address; it must begin with http:// or https://")
    if url.userinfo:
        raise LastingError("refused", "the address holds a user name; addresses that need a login are not fetched")
    return url.copy_with(fragment=None)


def follow_redirect(url: URL, location: str) -> URL:
    """The address that a redirect leads to.

    Args:
        url: Where the redirect came from.
        location: What it says; may be relative.

    Raises:
        LastingError: It leaves the web or falls back from https to http.
    """
    from httpx2 import InvalidURL

    try:
        target = str(url.join(location))
    except (InvalidURL, UnicodeError, ValueError) as error:
        raise LastingError("refused", f"redirected to {location[:200]!r}, which is no web address") from error
    try:
        parsed = parse_address(target)
    except LastingError as error:
        raise LastingError("refused", f"redirected: {error}") from error
    if url.scheme == "https" and parsed.scheme != "https":
        raise LastingError("refused", f"redirected from https to {target[:200]}, which is not encrypted")
    return parsed


def origin_of(url: URL) -> tuple[str, str, int]:
    """Scheme, host and port."""
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet can reach.

    Addresses that wrap an IPv4 address (mapped, 6to4, Teredo, NAT64) are judged by that one.

    Args:
        address: IPv4 or IPv6, perhaps with a zone (``fe80::1%eth0``).
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            ip = wrapped
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def resolve(host: str, *, public_only: bool) -> list[str]:
    """Look a host up.

    Args:
        host: A name or an IP address.
        public_only: Leave out private, loopback and link-local addresses.

    Returns:
        IP addresses to connect to, the system's first choice first; at least one.

    Raises:
        PassingError: There is no such host, or nobody to ask.
        LastingError: All of its addresses are private.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PassingError(f"{host}: no such host, or no network") from error
    addresses = [str(place[0]) for *_, place in found]
    allowed = [address for address in addresses if not public_only or is_public(address)]
    if not allowed:
        raise private_address(host)
    return allowed


def private_address(host: str) -> LastingError:
    """Why a host is not asked."""
    return LastingError(
        "refused",
        f"{host} is a private address; --allow-private-addresses lets a list's own addresses be so, but no redirects",
    )


_LONGEST_HEAD = 1 << 17

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class WatchedStream(NetworkStream):
    """A connection that must deliver in time, and that counts what it delivers.

    A timeout per read would let a server send one byte a minute for ever: the time runs on until `satisfy`.
    """

    def __init__(self, stream: NetworkStream) -> None:
        """Watch a stream."""
        self._stream = stream
        self._until: float | None = None
        self._received = 0
        self._head = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Wait for bytes, but no longer than `timeout` seconds since the request or `satisfy`."""
        if timeout is not None:
            now = time.monotonic()
            self._until = self._until or now + timeout
            timeout = self._until - now
            if timeout <= 0:
                raise ReadTimeout("timed out")
        data = self._stream.read(max_bytes, timeout)
        self._received += len(data)
        if len(self._head) < _LONGEST_HEAD:
            self._head += data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a request, and begin to count its answer."""
        self._received, self._head, self._until = 0, b"", None
        self._stream.write(buffer, timeout)

    def satisfy(self) -> None:
        """Start the time anew: something of what was asked for has come."""
        self._until = None

    def surplus(self, length: int) -> int:
        """How many bytes came after an answer whose body has `length` bytes (and is not in chunks)."""
        start = 0
        while blank := _BLANK_LINE.search(self._head, start):
            informational = re.match(rb"HTTP/1\.\d 1\d\d", self._head[start:])
            start = blank.end()
            if not informational:
                break
        waiting = bool(self._stream.get_extra_info("is_readable")) and bool(self._peek())
        return max(0, self._received - start - length) + waiting

    def _peek(self) -> bytes:
        try:
            return self._stream.read(1, 0.01)
        except Exception:
            return b""  # a connection that is gone has no more to say

    def close(self) -> None:
        """Close the connection; a thread that waits for bytes from it wakes up."""
        with contextlib.suppress(OSError):
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        """Encrypt the connection; the encrypted one is watched alike."""
        return WatchedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """As of the stream below."""
        return self._stream.get_extra_info(info)


USER_AGENT = f"distingo/{__version__}"

_KEPT_OPEN = 30.0


class GuardedBackend(NetworkBackend):
    """Connects to the very address that was looked up and found allowed, so that no second look-up can differ."""

    def __init__(self, *, public_only: bool) -> None:
        self._public_only = public_only
        self._system = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        """Connect to the first address of a host that answers.

        Raises:
            LastingError: It may not be asked.
            PassingError: There is no such host.
            ConnectError: None of its addresses answers.
        """
        problem: Exception = ConnectError(f"{host}: no address")
        for address in resolve(host, public_only=self._public_only):
            try:
                stream = self._system.connect_tcp(address, port, timeout, local_address, socket_options)
            except (ConnectError, ConnectTimeout) as error:
                problem = error
                continue
            if self._public_only and not is_public(_peer(stream)):
                stream.close()
                raise private_address(host)
            return WatchedStream(stream)
        raise problem


def _peer(stream: NetworkStream) -> str:
    connected: socket.socket = stream.get_extra_info("socket")
    return str(connected.getpeername()[0])


class Connections:
    """All connections of one run. Public and private places never share one: each kind has its own pool."""

    def __init__(self, limits: Limits) -> None:
        """Prepare; nothing is connected yet.

        Args:
            limits: How many, and how patient.
        """
        self._limits = limits
        self._context = default_ssl_context()
        self._public = ConnectionPool(network_backend=GuardedBackend(public_only=True), **self._settings())
        self._private = ConnectionPool(network_backend=GuardedBackend(public_only=False), **self._settings())
        proxies = urllib.request.getproxies()
        self._proxies = {
            scheme: self._proxy(proxies.get(scheme) or proxies.get("all", "")) for scheme in ("http", "https")
        }

    def _settings(self) -> dict[str, Any]:
        many = self._limits.connections
        return {
            "ssl_context": self._context,
            "max_connections": many + 1,  # never waited for: the queue has fewer on the way
            "max_keepalive_connections": many,
            "keepalive_expiry": _KEPT_OPEN,
        }

    def _proxy(self, address: str) -> ConnectionPool | None:
        if not address:
            return None
        from httpx2 import Proxy

        proxy = Proxy(address if "://" in address else f"http://{address}")
        backend = GuardedBackend(public_only=False)  # the person's own choice, and often in the house
        return HTTPProxy(str(proxy.url), proxy_auth=proxy.raw_auth, network_backend=backend, **self._settings())

    @contextmanager
    def get(self, url: URL, headers: dict[str, str], *, private: bool) -> Iterator[Response]:
        """Ask for an address, without following redirects.

        Args:
            url: The address.
            headers: Besides our own.
            private: Whether it may lie on a private network.

        Yields:
            The answer; its body has not been read.

        Raises:
            LastingError: The address is private and may not be.
        """
        pool = self._private if private else self._public
        proxy = self._proxies[url.scheme]
        if proxy is not None and not urllib.request.proxy_bypass(url.host):
            if not private:
                self._check_host(url.host)
            pool = proxy
        ours = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        pairs = list(ours.items())
        limits = self._limits
        timeouts = {"connect": limits.connect_timeout, "read": limits.stall_timeout, "write": limits.stall_timeout}
        # In parts: were the text read a second time, another reader might find another host in it.
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with pool.stream("GET", target, headers=pairs, extensions={"timeout": timeouts}) as response:
            yield response

    @staticmethod
    def _check_host(host: str) -> None:
        """Refuse what is seen to be private from here; the proxy itself looks names up again, and decides."""
        try:
            resolve(host, public_only=True)
        except PassingError:
            return  # behind a proxy one may be unable to look up names

    def close(self) -> None:
        """Close every connection; transfers that are under way break off."""
        for pool in (self._public, self._private, *self._proxies.values()):
            if pool is not None:
                pool.close()
