"""Names for files and folders that every system takes, out of addresses and labels.

From a name that a person types to one class of a long list.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from distingo.errors import UsageError, name_the_nearest, option
from distingo.files import content_hash

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

_ENDING = re.compile(r"\.(jpe?g|jpe|jfif|png|gif|webp|tiff?|bmp|avif|hei[cf]|jp2|ppm|php|aspx?|html?)$", re.IGNORECASE)

_MOST_BYTES = 120


def safe_name(text: str) -> str:
    """A name that is safe on every file system and stays readable.

    Args:
        text: For example a label: ``T-shirt/top``.

    Returns:
        For example ``T-shirt-top``; not hidden, at most 120 bytes of UTF-8, ``unnamed`` where nothing is left.
    """
    name = _FORBIDDEN.sub("-", unicodedata.normalize("NFC", text)).strip(" .")
    name = "".join(letter for letter in name if unicodedata.category(letter) not in {"Cc", "Cf", "Cs"})
    name = name.encode("utf-8")[:_MOST_BYTES].decode("utf-8", "ignore").strip(" .-") or "unnamed"
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def stem_of_address(url: str) -> str:
    """What a picture is called after its address, without ending: its last part, or else its host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "unnamed"
    last = unquote(parts.path, errors="replace").rstrip("/").rpartition("/")[2]
    return safe_name(_ENDING.sub("", last) or parts.hostname or "")


def distinct_names(stems: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Make names different, also without regard to case.

    The first keeps its name; the others get a mark that follows from their key, so that the same list always gives
    the same names, and a longer one keeps those of its beginning.

    Args:
        stems: What each is called.
        keys: What each is, all different; for example the addresses.

    Returns:
        One name per stem.
    """
    taken: set[str] = set()
    names = []
    for stem, key in zip(stems, keys, strict=True):
        name, mark = stem, content_hash(key.encode("utf-8", "surrogatepass"))
        for length in range(6, len(mark) + 1):
            if name.casefold() not in taken:
                break
            name = f"{stem}-{mark[:length]}"
        taken.add(name.casefold())
        names.append(name)
    return names


@dataclass(frozen=True, slots=True)
class KnownClass:
    """One class of a public data set.

    Attributes:
        identifier: The data set's own: ``/m/01226z``, ``n04118538``.
        names: All of its names, the usual one first.
        meaning: What tells it from others of the same name; may be empty.
    """

    identifier: str
    names: tuple[str, ...]
    meaning: str = ""

    @property
    def name(self) -> str:
        """The usual name."""
        return self.names[0]

    @property
    def described(self) -> str:
        """Identifier and meaning, for a person who has to choose."""
        meaning = self.meaning or ", ".join(self.names)
        return f"{self.identifier} ({meaning if len(meaning) <= 60 else meaning[:59].rstrip() + '…'})"


def find_classes(wanted: Iterable[str], known: Sequence[KnownClass], where: str) -> tuple[KnownClass, ...]:
    """Find classes by name, without regard to case, or by identifier.

    Args:
        wanted: As typed.
        known: Every class there is.
        where: What they are the classes of, for messages.

    Returns:
        One per name, each once, in the order in which they were typed.

    Raises:
        UsageError: A name is unknown, or the name of several classes; says which ones are near.
    """
    identifiers = {each.identifier.casefold(): each for each in known}
    names: defaultdict[str, list[KnownClass]] = defaultdict(list)
    for each in known:
        for name in dict.fromkeys(map(_key, each.names)):
            names[name].append(each)
    found = [identifiers.get(text.strip().casefold()) or _only(text, names, where) for text in wanted]
    if not found:
        raise UsageError(
            f"no class is named; give one or several {option('classes')} NAME",
            code="missing_argument",
            parameter="classes",
        )
    return tuple(dict.fromkeys(found))


def _only(text: str, names: Mapping[str, Sequence[KnownClass]], where: str) -> KnownClass:
    found = names.get(_key(text), ())
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(each.described for each in found[:6])
        raise UsageError(
            f"{option('classes')} {text!r}: {where} has {len(found)} classes of that name; give {choices}",
            code="ambiguous_name",
            parameter="classes",
        )
    near = name_the_nearest(_key(text), list(names), otherwise="")
    reason = f"no such class; {near}" if near else "no such class, nor one with a similar name; try another word"
    raise UsageError(
        f"{option('classes')} {text!r}: {where} has {reason}",
        code="unknown_name",
        parameter="classes",
    )


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").casefold().split())


def folder_names(classes: Sequence[KnownClass]) -> tuple[str, ...]:
    """A folder's name for each class: its own, made safe; with the identifier where two would be the same."""
    safe = [safe_name(each.name) for each in classes]
    keys = [name.casefold() for name in safe]
    return tuple(
        name if keys.count(name.casefold()) == 1 else f"{name} ({safe_name(each.identifier)})"
        for name, each in zip(safe, classes, strict=True)
    )
