"""Who a client is, as far as limits go: its address, of IPv6 the network that one customer has."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

_CUSTOMER_BITS = 64
_ANY = "*"


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
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _CUSTOMER_BITS), strict=False))


class Proxies:
    """Addresses whose connections carry the requests of many clients.

    Args:
        listed: Addresses, networks such as ``10.0.0.0/8``, or ``*`` for all.
    """

    def __init__(self, listed: Sequence[str]) -> None:
        self._all = _ANY in listed
        self._names = frozenset(listed)
        self._networks = tuple(network for name in listed if (network := _network(name)) is not None)

    def holds(self, address: str) -> bool:
        """Whether an address is one of them."""
        if self._all or address in self._names:
            return True
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None
