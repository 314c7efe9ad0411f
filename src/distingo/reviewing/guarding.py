"""Who may speak to the page's server: this page, from where it was told, with the token of this start."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer: the page may load from its own server only, and nobody may frame it or keep what it shows."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides which requests are answered.

    Attributes:
        host: The address that the server listens on.
        port: The port it listens on.
        token: What addresses begin with; new with every start.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        """The page's address, for a browser on this machine."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", ""} else "::1" if self.host == "::" else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/{self.token}/"

    def refuse(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Say why a request is not answered.

        A name that an attacker's server resolves to this machine (DNS rebinding) is seen in ``Host``; a page from
        elsewhere that sends a request (cross-site request forgery) is seen in ``Origin`` and ``Sec-Fetch-Site``.

        Returns:
            Status and reason, or None for a request to answer.
        """
        host = headers.get("Host", "")
        if not self._knows(host):
            return 403, "this name is not served here"
        if not secrets.compare_digest(path.partition("/")[0].encode(), self.token.encode()):
            return 404, "no such page; the address of this start is in the terminal"
        navigates = method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"
        if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and not navigates:
            return 403, "only the page itself may ask"
        if method == "POST":
            if headers.get("Origin", "") != f"http://{host}":
                return 403, "only the page itself may write"
            if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
                return 415, "only JSON is read"
        return None

    def _knows(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port or parts.path or parts.username is not None:
            return False
        if name in _LOOPBACK:
            return True
        if self.host in _LOOPBACK:
            return False
        # told to listen elsewhere: numbers can't be rebound, and the machine's own name is its own
        return _is_address(name) or name in {self.host.lower(), socket.gethostname().lower()}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
