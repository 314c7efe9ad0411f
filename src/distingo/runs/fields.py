"""JSON files and records: what the fields may hold, whoever wrote the file, checked by msgspec.

`distingo.files.parse_json` has seen to depth, numbers and half characters before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from distingo.datasets.targets import LONGEST_NAME
from distingo.errors import CONTROLS, RunError, join_faults, quote
from distingo.files import read_json, write_json
from distingo.messages.notes import Note, text_note
from distingo.records import ValueKind
from distingo.runs.folder import FORMAT, check_format

MOST_CLASSES = 100_000
"""Three times as many as the largest public sets of images have."""

Record = TypeVar("Record")

Plain = str | int | float | bool | None
"""A value of JSON that is neither an object nor a list."""

JsonObject = Mapping[str, object]
"""As from `distingo.files.read_json`: an object whose fields are not checked yet."""

_PLAIN = rf"^[^{CONTROLS}]*\Z"

Size = Annotated[int, Meta(ge=1, le=8192)]
"""Pixels, as in `distingo.training.recipe`."""

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
"""Pixels of a side, before the middle is cut out: twice the largest image."""


class ImageSpecFields(msgspec.Struct, forbid_unknown_fields=True):
    """Of `distingo.records.ImageSpec`."""

    height: Size
    width: Size
    channels: Literal[1, 3]
    fit: Literal["stretch", "crop"] = "stretch"
    crop_fraction: Annotated[float, Meta(gt=0, le=1)] = 1.0
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"

    def __post_init__(self) -> None:
        """An image is resized before its middle is cut out: a small part of a large one takes all memory."""
        if self.fit == "crop" and max(self.height, self.width) > self.crop_fraction * _LARGEST_RESIZED:
            raise ValueError(f"crop_fraction {self.crop_fraction:g} enlarges over {_LARGEST_RESIZED:,} pixels")


class ThresholdFields(msgspec.Struct, forbid_unknown_fields=True):
    """Of `distingo.records.Thresholds`."""

    values: Annotated[list[Number], Meta(min_length=1, max_length=MOST_CLASSES)]
    aim: Literal["f1", "precision", "recall"]
    wanted: Share | None = None
    notes: list[str | dict[str, Any]] = []


class CalibrationFields(msgspec.Struct, forbid_unknown_fields=True):
    """Of `distingo.models.calibration_set.Calibration`."""

    slope: Positive
    offsets: Annotated[list[Number], Meta(max_length=MOST_CLASSES)]


def find_rendition_fault(rendition: Mapping[str, object]) -> str:
    """Why a stored preprocessing would be refused; empty where it would not."""
    return _find_fault(rendition, ImageSpecFields)


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
        content: As from `distingo.files.read_json`.
        fields: By name, a type as msgspec takes it.
        path: The file, for the error.
        optional: Fields that older versions did not write.
        others: Whether there may be other fields; they are not looked at.
        advice: What to do about it, as the end of a sentence.

    Raises:
        RunError: One line for each field that is missing, unknown or not as it may be.
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
    """What `check_fields` refuses, a part of a sentence for each field at fault."""
    faults = [f"{name} is missing" for name in fields if name not in content and name not in optional]
    unknown = () if others else (name for name in content if name not in fields and name != "format")
    faults += [f"unknown field {quote(name)}" for name in unknown]
    for name, kind in fields.items():
        if name in content and (why := _find_fault(content[name], kind)):
            faults.append(f"{name}: {why}")
    return faults


def read_record(
    path: Path, kind: type[Record], *, advice: str, required: Collection[str] = (), strict: bool = False
) -> Record:
    """Read a JSON file of ours as a record.

    Args:
        path: The file.
        kind: A dataclass; its fields' types say what they may hold.
        advice: What to do about a damaged file, as the end of a sentence.
        required: Fields with a default that must be there all the same.
        strict: Whether fields that the record has not are refused; else they are left out.

    Raises:
        RunError: The file is missing or damaged, a newer distingo wrote it, or a field is missing or not as it may be.
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
    """Make a record of a JSON object, as `read_record` does.

    Raises:
        RunError: One line for each fault.
    """
    if not isinstance(content, Mapping):
        raise _damaged(path, ["no JSON object"], advice)
    content = upgraded(content, kind)
    if faults := find_record_faults(content, kind, required=required, strict=strict):
        raise _damaged(path, faults, advice)
    try:
        return msgspec.convert(content, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:  # what the record itself refuses
        raise _damaged(path, [_plain(error)], advice) from error


_OLD_NAMES = {"side": "split", "pictures": "images", "judged": "evaluated"}
"""Fields that version 0.1 called otherwise."""


def upgraded(content: JsonObject, kind: type) -> JsonObject:
    """The fields of a record as they are called now, notes in place of version 0.1's sentences; records in it too."""
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
        elif isinstance(value, Mapping) and isinstance(of, type) and of is not Note and is_dataclass(of):
            changed[name] = upgraded(value, of)
    return {**content, **changed}


def find_record_faults(
    content: JsonObject, kind: type[Record], *, required: Collection[str] = (), strict: bool = False
) -> list[str]:
    """What `convert` refuses, a part of a sentence for each field at fault."""
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
    """What msgspec does not know itself: paths, and values of any kind."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is object:
        return value
    raise ValueError(f"Expected a path, got {type(value).__name__}")


def to_record(fields: msgspec.Struct, kind: type[Record]) -> Record:
    """Make a record of fields that were checked."""
    return msgspec.convert(fields, kind, from_attributes=True)


def write_record(path: Path, record: object) -> None:
    """Write a record as JSON: its fields in their order, with the format's number in front.

    Raises:
        ResourceError: It can't be written.
    """
    write_json(path, {"format": FORMAT, **asdict(record)})  # type: ignore[call-overload]


def check_classes(classes: Sequence[str], lengths: Mapping[str, int], path: Path, *, advice: str) -> None:
    """Check that class names are unique, and that what there is for each class is as many.

    Raises:
        RunError: One line for each fault.
    """
    if faults := find_class_faults(classes, lengths):
        raise _damaged(path, faults, advice)


def find_class_faults(classes: Sequence[str], lengths: Mapping[str, int]) -> list[str]:
    """What `check_classes` refuses, a part of a sentence for each fault."""
    count = len(classes)
    faults = [f"{number:,} {what} for {count:,} classes" for what, number in lengths.items() if number != count]
    if len(set(classes)) != count:
        twice = Counter(classes).most_common(1)[0][0]
        faults.append(f"two classes are called {quote(twice)}")
    return faults


def _find_fault(value: Any, kind: Any) -> str:
    try:
        msgspec.convert(value, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        return _plain(error)
    return ""


def _plain(error: Exception) -> str:
    """Msgspec's sentence on one line; it may quote what the file holds."""
    text = str(error).replace("`", "").replace(" - at $", " at ")
    text = text.replace(f"str matching regex {_PLAIN!r}", "a text without control characters")
    return quote(text, 200)[1:-1]
