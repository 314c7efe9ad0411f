"""Which addresses may be asked: web addresses only, and machines on the public network only."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from distingo.download.records import LastingError, PassingError

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
