"""Parsing of requests: images and options from forms, JSON, CSV, raw bytes and the query string."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from distingo.serving.http.access import RefusedError
from distingo.serving.http.bodies import media_type, parse_form
from distingo.serving.images import RequestImage

MOST_LABELS = 1_000_000
"""Largest number of classes that a request may ask for."""

RAW = "application/octet-stream"
_LONGEST_NAME = 255
IMAGES_FIELDS = ("images", "pictures")
"""The field or member of a request with its images, and its name in version 0.1."""

_NOT_OPTIONS = (*IMAGES_FIELDS, "name")
"""Names in a query string or JSON object that are not options."""

_DATA = "data:"
_PLAIN_ALPHABET = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\v\f"
_ESCAPES = tuple(
    (escape, character)
    for character in (b"+", b"/", b"=", b"\n", b"\r", b" ")
    for escape in dict.fromkeys((b"%%%02X" % ord(character), b"%%%02x" % ord(character)))
)
"""Percent escapes of the base64 characters; any other percent sign makes a text invalid base64."""

_PIECE = 2**18

BASE64 = "b64"

_IMAGE_COLUMNS = ("image", "images", "picture", "pictures", "image_bytes", "input", "inputs", "data", "content", "file")

_MOST_COLUMNS = 100

_FEW_LINES = 10_000

_SHORT_LINE = 32
"""A CSV may have `_FEW_LINES` lines plus one for this many bytes; base64 is wrapped at about 76 characters."""

_LONGEST_COLUMN_NAME = 40
"""A first line of a CSV that is shorter is a column name, since the smallest image has 48 characters in base64."""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options of a prediction request.

    Attributes:
        model: The model's name; None for the only served model.
        top_k: Number of most probable classes to list.
        threshold: Decision threshold for every label; None uses the model's own thresholds.
        explain: Whether the first label is explained.
        abstain: Largest share of wrong predictions, from 0 to 1; None never abstains.
        coverage: Share of true labels that prediction sets contain, from 0 to 1; None returns no sets.
    """

    model: str | None = None
    top_k: int = 5
    threshold: float | None = None
    explain: bool = False
    abstain: float | None = None
    coverage: float | None = None


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A request to predict images.

    Attributes:
        images: At least one image, with its content.
        options: The options for all images.
    """

    images: tuple[RequestImage, ...]
    options: RequestOptions


def read_options(values: Mapping[str, Any], before: RequestOptions | None = None) -> RequestOptions:
    """Read options from a query string, a form or a JSON object.

    Args:
        values: The options' values by name; None leaves an option out.
        before: Values of the options that are not in `values`; None for the defaults.

    Raises:
        RefusedError: An option is unknown, or a value has the wrong type or is out of range (422).
    """
    options = before or RequestOptions()
    unknown = next((name for name in values if name not in _READERS and name not in _NOT_OPTIONS), None)
    if unknown is not None:
        raise RefusedError(422, f"{unknown[:40]!r} is not known here; known are {', '.join(_READERS)}")
    changes = {name: _READERS[name](name, values[name]) for name in _READERS if values.get(name) is not None}
    return replace(options, **changes) if changes else options


def read_json_object(body: bytes) -> dict[str, object]:
    """Parse a body that must be a JSON object.

    Raises:
        RefusedError: It is not valid JSON or not an object (400).
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, "the body is no valid JSON; send one JSON object in UTF-8") from error
    if not isinstance(content, dict):
        raise RefusedError(400, "the body is JSON but no object; send one JSON object")
    return content


def read_parameters(content: Mapping[str, object], name: str = "parameters") -> dict[str, object]:
    """Get the value of `name`, which must be an object; empty if it is missing.

    Raises:
        RefusedError: It is not an object (422).
    """
    parameters = content.get(name) or {}
    if not isinstance(parameters, dict):
        raise RefusedError(422, f"{name!r} is no object")
    return parameters


def read_form(body: bytes, content_type: str, options: RequestOptions, max_images: int) -> ImageRequest:
    """Read images and options from a form.

    Files can be in fields of any name; each option is in the field of its name. A part is a file if it has a file name
    or is in the field ``images``.

    Raises:
        RefusedError: The form is damaged or contains no file, or a field is not an option.
    """
    images: list[RequestImage] = []
    fields: dict[str, str] = {}
    for part in parse_form(body, content_type, max_images):
        if part.file_name == "" and not part.content:
            continue  # sent by browsers if no file was chosen
        if part.file_name is not None or part.name in IMAGES_FIELDS:
            name = part.file_name or number_name(len(images) + 1)
            images.append(RequestImage(_shorten(name), part.content))
        else:
            fields[part.name] = part.content[:_LONGEST_NAME].decode("utf-8", "replace")
    check_count(len(images), max_images)
    return ImageRequest(tuple(images), read_options(fields, options))


def read_json(body: bytes, options: RequestOptions, max_images: int) -> ImageRequest:
    """Read images and options from ``{"images": [{"name": ..., "data": base64}], "top_k": ...}``.

    Raises:
        RefusedError: The JSON does not have this form or contains too many images.
    """
    content = read_json_object(body)
    entries = next((content[name] for name in IMAGES_FIELDS if name in content), None)
    if not isinstance(entries, list):
        raise RefusedError(422, 'no list \'images\' in the JSON; send {"images": [{"name": ..., "data": base64}]}')
    check_count(len(entries), max_images)
    images: list[RequestImage] = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise RefusedError(422, f"image {number} is no object with 'name' and 'data'")
        name = entry.get("name")
        shown = _shorten(name) if isinstance(name, str) and name else number_name(number)
        images.append(RequestImage(shown, decode_base64(entry.get("data"), f"'data' of image {number}")))
    return ImageRequest(tuple(images), read_options(content, options))


def is_file_type(content_type: str) -> bool:
    """Whether a body of this media type is the file of one image."""
    kind = media_type(content_type)
    return kind in {RAW, "application/x-image"} or kind.startswith("image/")


def check_count(count: int, most: int) -> None:
    """Check the number of images in a request.

    Raises:
        RefusedError: There are none (422) or more than `most` (413).
    """
    if not count:
        raise RefusedError(422, "no image in the request; send at least one")
    if count > most:
        raise RefusedError(413, f"{count:,} images, at most {most} are taken; send fewer at once")


def number_name(number: int) -> str:
    """The name in responses of an image that the client sent without a name."""
    return f"picture {number}"


def decode_base64(text: object, subject: str) -> bytes:
    """Decode base64 text.

    Both alphabets of RFC 4648 are accepted, with or without padding and line breaks. The text may be a ``data:`` URL,
    in which the characters of base64 may be percent-encoded.

    Args:
        text: The text.
        subject: Its name in error messages.

    Raises:
        RefusedError: It is not text, or not valid base64 (422).
    """
    if not isinstance(text, str):
        raise RefusedError(422, f"{subject} is no text; send the image's bytes in base64")
    if text[:8].lower().startswith(("http://", "https://")):
        raise RefusedError(422, f"{subject} is an address, and none is opened; send the image's bytes in base64")
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
        raise RefusedError(422, f"{subject} is no valid base64; send the image's bytes in base64") from error


def _unescape(text: bytes) -> bytes:
    """Undo percent escapes in pieces, since a single call for a long text would block other threads.

    Raises:
        binascii.Error: An escape is not one of a base64 character.
    """
    pieces: list[bytes] = []
    at = 0
    while at < len(text):
        end = at + _PIECE
        cut = text.rfind(b"%", end - 2, end)  # an escape that continues in the next piece
        end = end if cut < 0 else cut
        piece = text[at:end]
        for escape, character in _ESCAPES:
            piece = piece.replace(escape, character)
        if b"%" in piece:
            raise binascii.Error
        pieces.append(piece)
        at = end
    return b"".join(pieces)


def read_data_frame(content: object) -> list[object]:
    """Get the column of images from ``{"columns": [...], "data": [[...], ...]}``.

    Raises:
        RefusedError: The object has not this form (422).
    """
    columns, data = (content.get("columns"), content.get("data")) if isinstance(content, dict) else (None, None)
    if columns is None and isinstance(data, list):
        columns = ["image"]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RefusedError(422, "'dataframe_split' is no object with 'columns' and 'data'")
    at = choose_column(columns)
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise RefusedError(422, f"a row of 'data' that has not {len(columns)} values")
    return [row[at] for row in data]


def read_inputs(content: object) -> object:
    """Get the images from a list, a single image, or an object of columns."""
    if isinstance(content, str) or (isinstance(content, dict) and BASE64 in content):
        return [content]
    if isinstance(content, dict):
        column = list(content.values())[choose_column(list(content))]
        return column if isinstance(column, list) else [column]
    return content


def choose_column(names: Sequence[object]) -> int:
    """Index of the column of images: the only column, or the only one whose name suggests images.

    Raises:
        RefusedError: There is no such column (422).
    """
    matches = [at for at, name in enumerate(names) if isinstance(name, str) and name.lower() in _IMAGE_COLUMNS]
    if len(names) == 1:
        return 0
    if len(matches) != 1:
        reason = f"{len(names)} columns of which {len(matches)} are named like an image; send one column 'image'"
        raise RefusedError(422, reason)
    return matches[0]


def read_csv(body: bytes, max_images: int) -> list[object]:
    """Read the images from a CSV, in which one column contains base64 as for `choose_column`.

    Raises:
        RefusedError: The CSV is damaged (422) or too large (413).
    """
    import pyarrow as pa
    from pyarrow import csv

    most_cells, most_lines = _MOST_COLUMNS * (max_images + 1), _FEW_LINES + len(body) // _SHORT_LINE
    if body.count(b",") > most_cells or body.count(b"\n") + body.count(b"\r") > most_lines:
        raise RefusedError(413, "a CSV of too many cells or lines; send one column 'image' of files in base64")
    pool = pa.system_memory_pool()  # it returns its memory to the system after a request
    try:
        table = csv.read_csv(
            pa.BufferReader(body),
            read_options=csv.ReadOptions(
                use_threads=False, autogenerate_column_names=True, block_size=max(1, len(body) + 1)
            ),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            memory_pool=pool,
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise RefusedError(422, "a damaged CSV; send one column 'image' of files in base64") from error
    names = [str(column[0].as_py()).strip() for column in table.columns if table.num_rows]
    has_names = bool(names) and all(len(name) < _LONGEST_COLUMN_NAME for name in names)
    if not has_names and table.num_columns != 1:
        raise RefusedError(422, f"a CSV of {table.num_columns} columns without names; send one column 'image'")
    if table.num_rows > has_names:
        check_count(table.num_rows - has_names, max_images)
    rows: list[object] = table.column(choose_column(names) if has_names else 0).to_pylist()
    return rows[1:] if has_names else rows


def _shorten(name: str) -> str:
    """Shorten a client's file name, and replace lone surrogates, which can't be encoded in UTF-8."""
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
    values = {"true": True, "1": True, "false": False, "0": False, 1: True, 0: False}
    truth = values.get(value.lower() if isinstance(value, str) else value) if isinstance(value, str | int) else None
    if truth is None:
        raise RefusedError(422, f"{name} is neither true nor false")
    return truth


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "model": _text,
    "top_k": _count,
    "threshold": _share,
    "explain": _truth,
    "abstain": _share,
    "coverage": _share,
}
