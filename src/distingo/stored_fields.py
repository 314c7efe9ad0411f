"""What the fields of our JSON files may hold, whoever wrote them: types, lengths and bounds, checked by msgspec.

`distingo.files.parse_json` has seen to depth, numbers and half characters before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from distingo.errors import CONTROLS, RunError, join_faults, quote

LONGEST_NAME = 1000
"""Characters of a class's name."""

MOST_CLASSES = 100_000
"""Three times as many as the largest public sets of pictures have."""

Record = TypeVar("Record")

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
Ranges = dict[Literal["unsigned", "signed", "floating"], tuple[Number, Number]]


_LARGEST_RESIZED = 16_384
"""Pixels of a side, before the middle is cut out: twice the largest image."""


class RenditionFields(msgspec.Struct, forbid_unknown_fields=True):
    """Of `distingo.records.Rendition`."""

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
    """Of `distingo.models.evidence.Calibration`."""

    slope: Positive
    offsets: Annotated[list[Number], Meta(max_length=MOST_CLASSES)]


def find_rendition_fault(rendition: Mapping[str, Any]) -> str:
    """Why a stored rendition would be refused; empty where it would not."""
    return _find_fault(rendition, RenditionFields)


def find_name_fault(name: str) -> str:
    """Why a text can't be a class's name; empty where it can."""
    try:
        msgspec.convert(name, Name)
        name.encode()
    except msgspec.ValidationError:
        long = len(name) > LONGEST_NAME
        return f"has {len(name):,} characters, {LONGEST_NAME:,} are allowed" if long else "holds a control character"
    except UnicodeEncodeError:
        return "holds half of a character"
    return ""


def check_fields(
    content: Mapping[str, Any],
    fields: Mapping[str, Any],
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
        raise RunError(join_faults([f"{path}: damaged ({fault})" for fault in faults], advice), code="damaged_file")


def find_faults(
    content: Mapping[str, Any],
    fields: Mapping[str, Any],
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


def convert(content: Any, kind: type[Record], path: Path, *, advice: str) -> Record:
    """Make a record of a JSON object; fields that the record has not are left out.

    Raises:
        RunError: A field is missing or of another type; one line.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise RunError(f"{path}: damaged ({_plain(error)}); {advice}", code="damaged_file") from error


def check_classes(classes: Sequence[str], lengths: Mapping[str, int], path: Path, *, advice: str) -> None:
    """Check that class names are unique, and that what there is for each class is as many.

    Raises:
        RunError: One line for each fault.
    """
    if faults := find_class_faults(classes, lengths):
        raise RunError(join_faults([f"{path}: damaged ({fault})" for fault in faults], advice), code="damaged_file")


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
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return _plain(error)
    return ""


def _plain(error: Exception) -> str:
    """Msgspec's sentence on one line; it may quote what the file holds."""
    text = str(error).replace("`", "").replace(" - at $", " at ")
    text = text.replace(f"str matching regex {_PLAIN!r}", "a text without control characters")
    return quote(text, 200)[1:-1]


_CONFIG: dict[str, Any] = {
    "distingo": Text,
    "created": Text,
    "data": Text,
    "root": Text,
    "layout": Text | dict[str, Any],
    "task": Text,
    "classes": Names,
    "recipe": dict[str, Any],
    "recipe_file": dict[str, Any],
    "choices": list[str | dict[str, Any]],
    "environment": dict[str, Any],
    "table": dict[str, Any],
    "corrections": dict[str, Any],
    "split": dict[str, Any] | None,
    "value_ranges": Ranges | None,
    "near_duplicates": str | Number | None,
    "folds": Width,
    "repeats": Width,
}


def find_config_faults(content: Mapping[str, Any]) -> list[str]:
    """What `check_config` would refuse, a part of a sentence for each field; before it is written."""
    return find_faults(content, _CONFIG, optional=tuple(_CONFIG), others=True)


def check_config(content: Mapping[str, Any], path: Path, *, required: Collection[str]) -> None:
    """Check what all commands read of a ``config.json`` or a ``plan.json``; a recipe checks itself.

    Raises:
        RunError: One line for each fault.
    """
    optional = [name for name in _CONFIG if name not in required]
    check_fields(content, _CONFIG, path, optional=optional, others=True, advice="restore it, or train again")
