"""Names under which a server is called, in one way to write each."""

from __future__ import annotations

import contextlib
import ipaddress
from urllib.parse import urlsplit

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
