"""File and folder names made from labels and addresses: valid on every system, and all different."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from distingo.files import content_hash

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MOST_BYTES = 120


def safe_name(text: str) -> str:
    """A name that is valid on every file system and stays readable.

    Args:
        text: For example a label: ``T-shirt/top``.

    Returns:
        For example ``T-shirt-top``; not hidden, at most 120 bytes of UTF-8, ``unnamed`` where nothing is left.
    """
    name = _FORBIDDEN.sub("-", unicodedata.normalize("NFC", text)).strip(" .")
    name = "".join(letter for letter in name if unicodedata.category(letter) not in {"Cc", "Cf", "Cs"})
    name = name.encode("utf-8")[:_MOST_BYTES].decode("utf-8", "ignore").strip(" .-") or "unnamed"
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def distinct_names(stems: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Make names different, also without regard to case.

    The first keeps its name; the others get a suffix computed from their key. The same list always gives the same
    names, and a longer list keeps the names of its beginning.

    Args:
        stems: The names.
        keys: What each name is for, all different; for example the addresses.

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
