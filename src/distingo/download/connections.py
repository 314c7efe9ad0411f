"""Connections that only go where they may."""

from __future__ import annotations

import socket
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
    Response,
    SyncBackend,
    default_ssl_context,
)

from distingo.download.addresses import is_public, private_address, resolve
from distingo.download.failures import PassingError
from distingo.download.records import Limits
from distingo.download.watched_streams import WatchedStream
from distingo.version import __version__

if TYPE_CHECKING:
    from httpx2 import URL

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
