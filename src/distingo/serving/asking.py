"""What a request asks: its pictures and its wishes, from a form, JSON or raw bytes and from the address."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from distingo.serving.bodies import parse_form
from distingo.serving.refused import RefusedError

_LONGEST_NAME = 255
_NOT_WISHES = ("pictures", "name")
"""What else stands in an address or an object beside the wishes."""
MOST_LABELS = 1_000_000
"""So many classes may be asked for."""

_DATA = "data:"
_PLAIN_ALPHABET = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\v\f"
_ESCAPES = tuple(
    (escape, character)
    for character in (b"+", b"/", b"=", b"\n", b"\r", b" ")
    for escape in dict.fromkeys((b"%%%02X" % ord(character), b"%%%02x" % ord(character)))
)
"""What of base64 is written otherwise in addresses; a percent sign that is left is no base64."""

_PIECE = 2**18


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that was sent.

    Attributes:
        name: What the client calls it.
        content: The file's bytes.
    """

    name: str
    content: bytes | bytearray


@dataclass(frozen=True, slots=True)
class Wishes:
    """How pictures are to be judged.

    Attributes:
        model: The model's name; None where only one is served.
        top_k: So many of the most probable classes are listed.
        threshold: The probability from which a label is given, instead of the model's own; None keeps those.
        explain: Whether what speaks for the first label is shown.
        abstain: The share of wrong answers that is wanted; None always answers.
        coverage: The share of true labels that sets are to hold; None makes no sets.
    """

    model: str | None = None
    top_k: int = 5
    threshold: float | None = None
    explain: bool = False
    abstain: float | None = None
    coverage: float | None = None


def read_wishes(given: Mapping[str, Any], before: Wishes | None = None) -> Wishes:
    """Read wishes from the address, a form or a JSON object; what they do not name stays as it was.

    Raises:
        RefusedError: A wish is unknown, or a value is of the wrong kind or out of range (422).
    """
    wishes = before or Wishes()
    unknown = next((name for name in given if name not in _READERS and name not in _NOT_WISHES), None)
    if unknown is not None:
        raise RefusedError(422, f"{unknown[:40]!r} is not known here; known are {', '.join(_READERS)}")
    read = {name: _READERS[name](name, given[name]) for name in _READERS if given.get(name) is not None}
    return replace(wishes, **read) if read else wishes


def read_json_object(body: bytes) -> dict[str, Any]:
    """Read a body of JSON.

    Raises:
        RefusedError: It is no JSON, or no object (400).
    """
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, "the body is no valid JSON; send one JSON object in UTF-8") from error
    if not isinstance(said, dict):
        raise RefusedError(400, "the body is JSON but no object; send one JSON object")
    return said


def decode_base64(text: Any, what: str) -> bytes:
    """Bytes of a base64 text.

    With or without a ``data:`` prefix (then with the percent escapes that base64 needs); in one line or wrapped; of
    either alphabet of RFC 4648, with or without padding.

    Raises:
        RefusedError: It is none (422).
    """
    if not isinstance(text, str):
        raise RefusedError(422, f"{what} is no text; send the picture's bytes in base64")
    if text[:8].lower().startswith(("http://", "https://")):
        raise RefusedError(422, f"{what} is an address, and none is opened; send the picture's bytes in base64")
    is_address = text[: len(_DATA)].lower() == _DATA
    if is_address:
        text = text.partition(",")[2]
    try:
        plain = text.encode("ascii")
        if is_address and b"%" in plain:
            plain = _unescape(plain)
        plain = plain.translate(_PLAIN_ALPHABET, _WHITESPACE).rstrip(b"=")
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise RefusedError(422, f"{what} is no valid base64; send the picture's bytes in base64") from error


def _unescape(text: bytes) -> bytes:
    """Undo the escapes, piece by piece: one call for all of it would hold other threads up.

    Raises:
        binascii.Error: There is one that base64 does not need.
    """
    pieces: list[bytes] = []
    at = 0
    while at < len(text):
        end = at + _PIECE
        cut = text.rfind(b"%", end - 2, end)  # an escape that goes on in the next piece
        end = end if cut < 0 else cut
        piece = text[at:end]
        for escape, character in _ESCAPES:
            piece = piece.replace(escape, character)
        if b"%" in piece:
            raise binascii.Error
        pieces.append(piece)
        at = end
    return b"".join(pieces)


def read_form(body: bytes, content_type: str, wishes: Wishes, max_pictures: int) -> tuple[list[Upload], Wishes]:
    """Pictures and wishes of a form: files in fields of any name, wishes in fields of their names.

    A part that has a file's name is a file, as is any part of the field ``pictures``.

    Raises:
        RefusedError: The form is damaged, or a field is no wish.
    """
    uploads: list[Upload] = []
    fields: dict[str, str] = {}
    for part in parse_form(body, content_type, max_pictures):
        if part.file_name == "" and not part.content:
            continue  # a browser's form where no file was chosen
        if part.file_name is not None or part.name == "pictures":
            name = part.file_name or f"picture {len(uploads) + 1}"
            uploads.append(Upload(_shorten(name), part.content))
        else:
            fields[part.name] = part.content[:_LONGEST_NAME].decode("utf-8", "replace")
    return uploads, read_wishes(fields, wishes)


def read_json(body: bytes, wishes: Wishes, max_pictures: int) -> tuple[list[Upload], Wishes]:
    """Pictures and wishes of ``{"pictures": [{"name": ..., "data": base64}], "top_k": ...}``.

    Raises:
        RefusedError: It is not of this form, or holds too many pictures.
    """
    said = read_json_object(body)
    pictures = said.get("pictures")
    if not isinstance(pictures, list):
        raise RefusedError(422, 'no list \'pictures\' in the JSON; send {"pictures": [{"name": ..., "data": base64}]}')
    if len(pictures) > max_pictures:
        raise RefusedError(413, f"{len(pictures):,} pictures, at most {max_pictures} are taken; send fewer at once")
    uploads: list[Upload] = []
    for number, picture in enumerate(pictures, 1):
        if not isinstance(picture, dict):
            raise RefusedError(422, f"picture {number} is no object with 'name' and 'data'")
        name = picture.get("name")
        content = decode_base64(picture.get("data"), f"'data' of picture {number}")
        uploads.append(Upload(_shorten(name) if isinstance(name, str) and name else f"picture {number}", content))
    return uploads, read_wishes(said, wishes)


def _shorten(name: str) -> str:
    """A client's name for a file; lone surrogates could not be answered in UTF-8."""
    return name[:_LONGEST_NAME].encode("utf-8", "replace").decode("utf-8")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RefusedError(422, f"{name} is no text")
    return value


def _count(name: str, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(MOST_LABELS)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_LABELS:
        raise RefusedError(422, f"{name} is no whole number from 1 to {MOST_LABELS:,}")
    return value


def _share(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool | list | dict) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 1:
        raise RefusedError(422, f"{name} is no number from 0 to 1")
    return number


def _truth(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False, 1: True, 0: False}
    found = known.get(value.lower() if isinstance(value, str) else value) if isinstance(value, str | int) else None
    if found is None:
        raise RefusedError(422, f"{name} is neither true nor false")
    return found


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "model": _text,
    "top_k": _count,
    "threshold": _share,
    "explain": _truth,
    "abstain": _share,
    "coverage": _share,
}
