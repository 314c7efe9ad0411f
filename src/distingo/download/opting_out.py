"""What a server's headers say about use by machines: who opts out is left out, always."""

from __future__ import annotations

from collections.abc import Iterable

_ROBOTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
_AGENTS = frozenset({"", "*", "distingo"})
_DIRECTIVES_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def find_opt_out(headers: Iterable[tuple[str, str]]) -> str | None:
    """Find what forbids to gather a file for machine learning.

    Honoured are ``X-Robots-Tag`` with the directives that img2dataset honours (``noai``, ``noimageai``, ``noindex``,
    ``noimageindex``; ``none`` is short for noindex), for all or for ``distingo``, and ``tdm-reservation: 1``
    (W3C TDM Reservation Protocol).

    Args:
        headers: Names and values, in any case; a name may come several times.

    Returns:
        The header that says so, or None.
    """
    for name, value in headers:
        if name.lower() == "tdm-reservation" and value.strip() == "1":
            return "tdm-reservation: 1"
        if name.lower() == "x-robots-tag" and (directive := _forbidding(value)):
            return f"X-Robots-Tag: {directive}"
    return None


def _forbidding(value: str) -> str | None:
    agent = ""
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        directive = part.strip()
        if colon and name.strip() not in _DIRECTIVES_WITH_VALUES:  # an agent's name, for all that follow
            agent, directive = name.strip(), rest.strip()
        if agent in _AGENTS and directive in _ROBOTS:
            return directive
    return None
