"""Who a client is, as far as limits go: its address, of IPv6 the network that one customer has.

Names under which a server is called, in one way to write each.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

_CUSTOMER_BITS = 64

_MAPPED_BITS = 96
"""Before the IPv4 address in an IPv6 one that holds it (RFC 4291, section 2.5.5.2)."""

_ANY = "*"

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@functools.lru_cache(4096)
def client_of(address: str) -> str:
    """The name under which a client's requests are counted.

    Args:
        address: As the socket or a trusted proxy has it.

    Returns:
        An IPv4 address; of IPv6 the network of 64 bits, since one customer has as many addresses as it likes; anything
        else as it came.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    parsed = _unmapped(parsed)
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), _CUSTOMER_BITS), strict=False))


class Proxies:
    """Addresses whose connections carry the requests of many clients.

    A socket that takes IPv6 has IPv4 addresses as ``::ffff:192.0.2.1``; both ways to write one mean the same.

    Args:
        listed: Addresses, networks such as ``10.0.0.0/8``, or ``*`` for all.

    Raises:
        ValueError: One is nothing of the kind.
    """

    def __init__(self, listed: Sequence[str]) -> None:
        self._all = _ANY in listed
        self._networks = tuple(_network(name) for name in listed if name != _ANY)

    def holds(self, address: str) -> bool:
        """Whether an address is one of them."""
        if self._all:
            return True
        if not self._networks:
            return False
        try:
            parsed = _unmapped(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def written_out(self) -> list[str]:
        """All of them for who compares addresses as they came: IPv4 ones in both ways to write them."""
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


_DEFAULT_PORTS = {"http": 80, "https": 443}


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
        if (
            not name
            or any(map(str.isspace, name))
            or parts.path
            or parts.query
            or parts.fragment
            or parts.username is not None
        ):
            return None
        return str(ipaddress.ip_address(name)) if ":" in name else name.encode("idna").decode("ascii")
    except ValueError:
        return None


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
    return (host_name(place), _port(place) or usual) == (host_name(host), _port(host) or usual)


def _port(host: str) -> int | None:
    try:
        return urlsplit(f"//{host}").port
    except ValueError:
        return None
