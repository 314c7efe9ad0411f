"""File and folder names made from labels and URLs: valid on every system and unique."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from distingo.files import content_hash

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MOST_BYTES = 120


def safe_name(text: str) -> str:
    """Turn a text into a readable name that is valid on every file system.

    Args:
        text: For example a label, ``T-shirt/top``.

    Returns:
        For example ``T-shirt-top``; never hidden, at most 120 bytes of UTF-8, ``unnamed`` if nothing is left.
    """
    name = _FORBIDDEN.sub("-", unicodedata.normalize("NFC", text)).strip(" .")
    name = "".join(letter for letter in name if unicodedata.category(letter) not in {"Cc", "Cf", "Cs"})
    name = name.encode("utf-8")[:_MOST_BYTES].decode("utf-8", "ignore").strip(" .-") or "unnamed"
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def distinct_names(stems: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Make names unique, ignoring case.

    The first of several equal names stays; the others get a suffix computed from their key. The same list always gives
    the same names, and appending to a list does not change the earlier names.

    Args:
        stems: The names.
        keys: One unique key per name, for example its URL.

    Returns:
        One name per stem.
    """
    taken: set[str] = set()
    names = []
    for stem, key in zip(stems, keys, strict=True):
        name, digest = stem, content_hash(key.encode("utf-8", "surrogatepass"))
        for length in range(6, len(digest) + 1):
            if name.casefold() not in taken:
                break
            name = f"{stem}-{digest[:length]}"
        taken.add(name.casefold())
        names.append(name)
    return names
