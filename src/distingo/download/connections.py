"""HTTP connections that are restricted to public addresses and that detect stalled servers and surplus bytes."""

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
from typing import Any

import httpcore2
from httpcore2 import (
    ConnectError,
    ConnectionPool,
    ConnectTimeout,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    Response,
    SyncBackend,
    default_ssl_context,
)
from httpx2 import URL, InvalidURL, Proxy

from distingo.download.records import Limits, PermanentError, TemporaryError
from distingo.version import __version__

USER_AGENT = f"distingo/{__version__}"

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LONGEST_HEAD = 1 << 17
_KEEPALIVE_SECONDS = 30.0


def parse_address(text: str) -> URL:
    """Parse a URL; non-ASCII characters are encoded as in browsers, and the fragment is removed.

    Raises:
        PermanentError: The URL does not begin with http:// or https://, has no host, or contains a user name.
    """
    try:
        url = URL(text.strip())
    except (InvalidURL, UnicodeError, ValueError) as error:
        raise PermanentError("refused", f"{text[:200]!r} is no web address ({error})") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise PermanentError("refused", f"{text[:200]!r} is no web address; it must begin with http:// or https://")
    if url.userinfo:
        raise PermanentError("refused", "the address holds a user name; addresses that need a login are not fetched")
    return url.copy_with(fragment=None)


def follow_redirect(url: URL, location: str) -> URL:
    """Resolve the target of a redirect.

    Args:
        url: The URL that redirected.
        location: The ``Location`` header, which may be relative.

    Raises:
        PermanentError: The target is not a valid URL, or downgrades from https to http.
    """
    try:
        target = str(url.join(location))
    except (InvalidURL, UnicodeError, ValueError) as error:
        raise PermanentError("refused", f"redirected to {location[:200]!r}, which is no web address") from error
    try:
        parsed = parse_address(target)
    except PermanentError as error:
        raise PermanentError("refused", f"redirected: {error}") from error
    if url.scheme == "https" and parsed.scheme != "https":
        raise PermanentError("refused", f"redirected from https to {target[:200]}, which is not encrypted")
    return parsed


def is_public(address: str) -> bool:
    """Whether an IP address is globally reachable.

    For IPv6 addresses that embed an IPv4 address (mapped, 6to4, Teredo, NAT64), the embedded address is checked.

    Args:
        address: IPv4 or IPv6 address, with or without a zone (``fe80::1%eth0``).
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = wrapped or ip
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def resolve(host: str, *, public_only: bool) -> list[str]:
    """Look up a host.

    Args:
        host: A name or an IP address.
        public_only: Whether to leave out private, loopback and link-local addresses.

    Returns:
        At least one IP address to connect to, in the system's order of preference.

    Raises:
        TemporaryError: There is no such host, or no network.
        PermanentError: All of the host's addresses are private.
    """
    try:
        results = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TemporaryError(f"{host}: no such host, or no network") from error
    addresses = [str(socket_address[0]) for *_, socket_address in results]
    allowed = [address for address in addresses if not public_only or is_public(address)]
    if not allowed:
        raise _private_address(host)
    return allowed


def _private_address(host: str) -> PermanentError:
    return PermanentError(
        "refused",
        f"{host} is a private address; --allow-private-addresses lets a list's own addresses be so, but no redirects",
        code="private_address",
    )


class WatchedStream(NetworkStream):
    """A stream with a deadline that spans several reads, and a count of the received bytes.

    With a timeout per read, a server could send one byte a minute forever. Here only `satisfy` resets the deadline.
    """

    def __init__(self, stream: NetworkStream) -> None:
        """Wrap a stream."""
        self._stream = stream
        self._until: float | None = None
        self._received = 0
        self._head = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read bytes; the timeout in seconds counts from the request or the last call of `satisfy`."""
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
        """Send a request, and start counting the bytes of its response."""
        self._received, self._head, self._until = 0, b"", None
        self._stream.write(buffer, timeout)

    def satisfy(self) -> None:
        """Reset the deadline, since a part of the response has arrived."""
        self._until = None

    def surplus(self, length: int) -> int:
        """Count the bytes received after a response whose body has `length` bytes and is not chunked."""
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
            return b""  # the connection is closed

    def close(self) -> None:
        """Close the connection, which wakes up a thread that reads from it."""
        with contextlib.suppress(OSError):
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        """Start TLS and wrap the encrypted stream."""
        return WatchedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return information about the wrapped stream."""
        return self._stream.get_extra_info(info)


class _GuardedBackend(NetworkBackend):
    """Connects to the IP address that was checked, so that a second DNS lookup can't give another one."""

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
        """Connect to the first address of a host that accepts; raises the errors of `resolve` too."""
        problem: Exception = ConnectError(f"{host}: no address")
        for address in resolve(host, public_only=self._public_only):
            try:
                stream = self._system.connect_tcp(address, port, timeout, local_address, socket_options)
            except (ConnectError, ConnectTimeout) as error:
                problem = error
                continue
            if self._public_only and not is_public(str(stream.get_extra_info("socket").getpeername()[0])):
                stream.close()
                raise _private_address(host)
            return WatchedStream(stream)
        raise problem


class Connections:
    """All connections of one run, with separate pools for public and private hosts."""

    def __init__(self, limits: Limits) -> None:
        """Create the pools; connections are opened on demand."""
        self._limits = limits
        self._context = default_ssl_context()
        self._public = self._pool(public_only=True)
        self._private = self._pool(public_only=False)
        proxies = urllib.request.getproxies()
        self._proxies = {
            scheme: self._proxy(proxies.get(scheme) or proxies.get("all", "")) for scheme in ("http", "https")
        }

    def _pool(self, *, public_only: bool, proxy: httpcore2.Proxy | None = None) -> ConnectionPool:
        return ConnectionPool(
            ssl_context=self._context,
            proxy=proxy,
            max_connections=self._limits.connections + 1,  # never reached: fewer transfers run at once
            max_keepalive_connections=self._limits.connections,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_GuardedBackend(public_only=public_only),
        )

    def _proxy(self, address: str) -> ConnectionPool | None:
        if not address:
            return None
        proxy = Proxy(address if "://" in address else f"http://{address}")
        # A proxy is the user's own choice, and often on the local network.
        return self._pool(public_only=False, proxy=httpcore2.Proxy(str(proxy.url), proxy.raw_auth))

    @contextmanager
    def get(self, url: URL, headers: dict[str, str], *, private: bool) -> Iterator[Response]:
        """Send a GET request, without following redirects.

        Args:
            url: The URL.
            headers: Headers to add to the default ones.
            private: Whether the host may be on a private network.

        Yields:
            The response, whose body has not been read.

        Raises:
            PermanentError: The address is private, and `private` is False.
        """
        pool = self._private if private else self._public
        proxy = self._proxies[url.scheme]
        if proxy is not None and not urllib.request.proxy_bypass(url.host):
            pool = proxy
            if not private:
                # Behind a proxy, names may not resolve here. The proxy looks them up itself, and decides.
                with contextlib.suppress(TemporaryError):
                    resolve(url.host, public_only=True)
        all_headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        limits = self._limits
        timeouts = {"connect": limits.connect_timeout, "read": limits.stall_timeout, "write": limits.stall_timeout}
        # Pass the URL in parts, since another parser might extract another host from the text.
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with pool.stream("GET", target, headers=[*all_headers.items()], extensions={"timeout": timeouts}) as response:
            yield response

    def close(self) -> None:
        """Close all connections, which aborts running transfers."""
        for pool in (self._public, self._private, *self._proxies.values()):
            if pool is not None:
                pool.close()
