"""Conversion between JSON files and records, with validation of untrusted fields by msgspec.

`distingo.files.parse_json` has already checked nesting, numbers and surrogates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from distingo.errors import CONTROLS, RunError, join_faults, quote
from distingo.files import read_json, write_json
from distingo.messages.notes import Note, text_note
from distingo.records import LONGEST_NAME, ValueKind
from distingo.runs.folder import FORMAT, check_format

MOST_CLASSES = 100_000
"""Maximum number of classes: three times as many as the largest public image data sets have."""

Record = TypeVar("Record")

Plain = str | int | float | bool | None
"""A JSON value that is neither an object nor a list."""

JsonObject = Mapping[str, object]
"""A JSON object from `distingo.files.read_json` whose fields have not been validated."""

_PLAIN = rf"^[^{CONTROLS}]*\Z"

Size = Annotated[int, Meta(ge=1, le=8192)]
"""Height or width of a model's input in pixels, with the limits of `distingo.training.recipe`."""

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Width = Annotated[int, Meta(ge=1, le=1 << 20)]
Number = Annotated[float, Meta(ge=-1e300, le=1e300)]
Positive = Annotated[float, Meta(gt=0, le=1e300)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, pattern=_PLAIN)]
Text = Annotated[str, Meta(max_length=4096, pattern=_PLAIN)]
Hash = Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?\Z")]
Names = Annotated[list[Name], Meta(min_length=1, max_length=MOST_CLASSES)]
Ranges = dict[ValueKind, Annotated[list[Number], Meta(min_length=2, max_length=2)]]


_LARGEST_RESIZED = 16_384
"""Maximum side length in pixels of a resized image before the center crop: twice the largest input."""


class ImageSpecFields(msgspec.Struct, forbid_unknown_fields=True):
    """Fields of `distingo.records.ImageSpec`."""

    height: Size
    width: Size
    channels: Literal[1, 3]
    fit: Literal["stretch", "crop"] = "stretch"
    crop_fraction: Annotated[float, Meta(gt=0, le=1)] = 1.0
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"

    def __post_init__(self) -> None:
        """Limit the size before cropping: the center crop of a huge resized image would exhaust the memory."""
        if self.fit == "crop" and max(self.height, self.width) > self.crop_fraction * _LARGEST_RESIZED:
            raise ValueError(f"crop_fraction {self.crop_fraction:g} enlarges over {_LARGEST_RESIZED:,} pixels")


class ThresholdFields(msgspec.Struct, forbid_unknown_fields=True):
    """Fields of `distingo.scores.Thresholds`."""

    values: Annotated[list[Number], Meta(min_length=1, max_length=MOST_CLASSES)]
    aim: Literal["f1", "precision", "recall"]
    wanted: Share | None = None
    notes: list[str | dict[str, Any]] = []


class CalibrationFields(msgspec.Struct, forbid_unknown_fields=True):
    """Fields of `distingo.models.reference_data.Calibration`."""

    slope: Positive
    offsets: Annotated[list[Number], Meta(max_length=MOST_CLASSES)]


def find_image_spec_fault(image_spec: Mapping[str, object]) -> str:
    """Return the fault of a stored preprocessing; empty if it is valid."""
    return _fault(image_spec, ImageSpecFields)


def check_fields(
    content: Mapping[str, object],
    fields: Mapping[str, object],
    path: Path,
    *,
    optional: Collection[str] = (),
    others: bool = False,
    advice: str,
) -> None:
    """Check the fields of a JSON object.

    Args:
        content: The object, as returned by `distingo.files.read_json`.
        fields: msgspec types by field name.
        path: The file, for the error message.
        optional: Fields that older versions did not write.
        others: Whether other fields are allowed; they are ignored.
        advice: End of the error message: what to do about the fault.

    Raises:
        RunError: A field is missing, unknown or invalid; the message has one line per fault.
    """
    if faults := find_faults(content, fields, optional=optional, others=others):
        raise _damaged(path, faults, advice)


def find_faults(
    content: Mapping[str, object],
    fields: Mapping[str, object],
    *,
    optional: Collection[str] = (),
    others: bool = False,
) -> list[str]:
    """List the faults for which `check_fields` raises an error, one phrase per field."""
    faults = [f"{name} is missing" for name in fields if name not in content and name not in optional]
    unknown = () if others else (name for name in content if name not in fields and name != "format")
    faults += [f"unknown field {quote(name)}" for name in unknown]
    for name, kind in fields.items():
        if name in content and (why := _fault(content[name], kind)):
            faults.append(f"{name}: {why}")
    return faults


def read_record(
    path: Path, kind: type[Record], *, advice: str, required: Collection[str] = (), strict: bool = False
) -> Record:
    """Read a JSON file that distingo wrote as a record.

    Args:
        path: The file.
        kind: A dataclass, whose annotations are the allowed types.
        advice: End of the error message: what to do about a damaged file.
        required: Fields that must be present although they have a default.
        strict: Whether unknown fields raise an error; else they are ignored.

    Raises:
        RunError: The file is missing, damaged or from a newer version, or a field is missing or invalid.
    """
    content = read_json(path)
    check_format(content, path)
    return convert(content, kind, path, advice=advice, required=required, strict=strict)


def convert(
    content: JsonObject,
    kind: type[Record],
    path: Path,
    *,
    advice: str,
    required: Collection[str] = (),
    strict: bool = False,
) -> Record:
    """Convert a JSON object to a record; the arguments are those of `read_record`.

    Raises:
        RunError: A field is missing or invalid; the message has one line per fault.
    """
    if not isinstance(content, Mapping):
        raise _damaged(path, ["no JSON object"], advice)
    content = upgraded(content, kind)
    if faults := find_record_faults(content, kind, required=required, strict=strict):
        raise _damaged(path, faults, advice)
    try:
        return msgspec.convert(content, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:  # raised by the record's own checks
        raise _damaged(path, [_plain(error)], advice) from error


_OLD_NAMES = {
    "side": "split",
    "pictures": "images",
    "judged": "evaluated",
    "strangers": "outliers",
    "rendition": "image_spec",
    "normalise": "normalize",
    "licence": "license",
    "picture": "image",
    "validation_pictures": "validation_images",
}
"""Current names of fields by their names in version 0.1."""


def upgraded(content: JsonObject, kind: type) -> JsonObject:
    """Convert an object of version 0.1 recursively: rename fields and turn sentences into notes."""
    hints = get_type_hints(kind)
    content = {
        _OLD_NAMES[name] if name not in hints and _OLD_NAMES.get(name) in hints else name: value
        for name, value in content.items()
    }
    changed: dict[str, object] = {}
    for name, hint in hints.items():
        value = content.get(name)
        (of, *_) = [each for each in get_args(hint) if each is not type(None)] or [hint]
        if isinstance(value, str) and hint is Note:
            changed[name] = asdict(text_note(value))
        elif isinstance(value, list) and of is Note:
            changed[name] = [asdict(text_note(each)) if isinstance(each, str) else each for each in value]
        elif isinstance(value, Mapping) and _is_record(of):
            changed[name] = upgraded(value, of)
    return {**content, **changed}


def _is_record(kind: object) -> TypeGuard[type]:
    return isinstance(kind, type) and kind is not Note and (is_dataclass(kind) or issubclass(kind, msgspec.Struct))


def find_record_faults(
    content: JsonObject, kind: type[Record], *, required: Collection[str] = (), strict: bool = False
) -> list[str]:
    """List the faults for which `convert` raises an error, one phrase per field."""
    members: Sequence[Field[object]] = fields(kind)  # type: ignore[arg-type]
    optional = [each.name for each in members if each.default is not MISSING or each.default_factory is not MISSING]
    hints = get_type_hints(kind, include_extras=True)
    return find_faults(
        content,
        {each.name: hints[each.name] for each in members},
        optional=[name for name in optional if name not in required],
        others=not strict,
    )


def _damaged(path: Path, faults: Sequence[str], advice: str) -> RunError:
    return RunError(join_faults([f"{path}: damaged ({fault})" for fault in faults], advice), code="damaged_file")


def _decode(kind: type, value: object) -> object:
    """Decode the types that msgspec does not support: paths, and values of any type."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is object:
        return value
    raise ValueError(f"Expected a path, got {type(value).__name__}")


def to_record(fields: msgspec.Struct, kind: type[Record]) -> Record:
    """Convert validated fields to a record."""
    return msgspec.convert(fields, kind, from_attributes=True)


def write_record(path: Path, record: object) -> None:
    """Write a record as JSON: the format number, then the fields in their order.

    Raises:
        ResourceError: The file can't be written.
    """
    write_json(path, {"format": FORMAT, **asdict(record)})  # type: ignore[call-overload]


def check_classes(classes: Sequence[str], lengths: Mapping[str, int], path: Path, *, advice: str) -> None:
    """Check that class names are unique, and that lists with one entry per class have the right length.

    Args:
        classes: The class names.
        lengths: Lengths of the lists, by their name in the error message.
        path: The file, for the error message.
        advice: End of the error message: what to do about the fault.

    Raises:
        RunError: A name occurs twice or a length differs; the message has one line per fault.
    """
    if faults := find_class_faults(classes, lengths):
        raise _damaged(path, faults, advice)


def find_class_faults(classes: Sequence[str], lengths: Mapping[str, int]) -> list[str]:
    """List the faults for which `check_classes` raises an error, one phrase each."""
    count = len(classes)
    faults = [f"{number:,} {subject} for {count:,} classes" for subject, number in lengths.items() if number != count]
    if len(set(classes)) != count:
        repeated = Counter(classes).most_common(1)[0][0]
        faults.append(f"two classes are called {quote(repeated)}")
    return faults


def _fault(value: Any, kind: Any) -> str:
    try:
        msgspec.convert(value, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        return _plain(error)
    return ""


def _plain(error: Exception) -> str:
    """Format a msgspec error message, which may quote untrusted content, on one line."""
    text = str(error).replace("`", "").replace(" - at $", " at ")
    text = text.replace(f"str matching regex {_PLAIN!r}", "a text without control characters")
    return quote(text, 200)[1:-1]
