"""What ``model.json`` may hold, whoever wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from distingo.errors import ModelError, RunError, join_faults, quote
from distingo.models.catalogue import CATALOGUE
from distingo.models.heads import HEADS
from distingo.stored_fields import (
    CalibrationFields,
    Count,
    Hash,
    Names,
    Number,
    Positive,
    Ranges,
    RenditionFields,
    Text,
    ThresholdFields,
    Width,
    find_class_faults,
    find_faults,
)

_ADVICE = "train again, or take the model from where it came from"

_Channels = Annotated[list[Number], Meta(min_length=3, max_length=3)]


class _BackboneFields(msgspec.Struct, forbid_unknown_fields=True):
    """Of `distingo.models.backbones.BackboneDescription`."""

    name: Text
    architecture: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,100}\Z")]
    tag: Text
    source: Literal["hub", "folder", "file", "none"]
    place: Text
    arguments: dict[str, Any]
    features: Width
    rendition: RenditionFields
    mean: _Channels
    std: Annotated[list[Positive], Meta(min_length=3, max_length=3)]
    licence: Text
    parameters: Count
    weights_hash: Hash = ""


_FIELDS: dict[str, Any] = {
    "name": Annotated[Text, Meta(min_length=1)],
    "kind": Literal["network", "pretrained", "classic"],
    "task": Literal["single-label", "multi-label"],
    "classes": Names,
    "rendition": RenditionFields | None,
    "backbone": _BackboneFields | None,
    "head": Literal["", "linear", "linear-svm", "prototype", "knn"],
    "mode": Literal["scratch", "frozen", "finetune"],
    "engine": Literal["auto", "torch", "openvino"],
    "precision": Literal["auto", "float32", "bfloat16"],
    "normalise": Literal["none", "dataset", "sample", "zca"],
    "dropout": Annotated[float, Meta(ge=0, lt=1)] | None,
    "settings": dict[str, Any],
    "provenance": dict[str, Any],
    "thresholds": ThresholdFields | None,
    "calibration": CalibrationFields | None,
    "value_ranges": Ranges | None,
    "weights_hash": Hash,
}
_LATER = ("backbone", "head", "mode", "engine", "precision", "thresholds", "calibration", "value_ranges")
"""Fields that the first version did not write."""

_SETTINGS: dict[str, Any] = {
    "task": Literal["single-label", "multi-label"],
    "bank": Annotated[int, Meta(ge=1, le=1 << 31)],
    "neighbours": Annotated[int, Meta(ge=1, le=1 << 20)],
    "temperature": Positive,
    "classes": Annotated[int, Meta(ge=1, le=1 << 20)],
}
"""Settings that sizes or loops depend on; others are only shown."""


def check_description(content: dict[str, Any], path: Path) -> None:
    """Check the content of a ``model.json``, its format's number aside.

    Args:
        content: As from `distingo.files.read_json`.
        path: The file, for the error.

    Raises:
        RunError: One line for each fault.
    """
    if faults := _find_faults(content):
        raise RunError(join_faults([f"{path}: damaged ({fault})" for fault in faults], _ADVICE))


def require_readable(content: dict[str, Any]) -> None:
    """Refuse, before any training, a model whose ``model.json`` could not be read again after it.

    Args:
        content: Of the file that will be written, as JSON has it.

    Raises:
        ModelError: One line for each fault.
    """
    if faults := _find_faults(content):
        model = quote(content.get("name"))
        raise ModelError(
            join_faults([f"model {model} can't be saved: {fault}" for fault in faults], "choose other data or weights")
        )


def require_readable_backbone(content: dict[str, Any]) -> None:
    """The same of a backbone's description alone, before any image is read.

    Raises:
        ModelError: One line.
    """
    if faults := find_faults({"backbone": content}, {"backbone": _BackboneFields}):
        raise ModelError(f"model {quote(content.get('name'))} can't be saved: {faults[0]}; choose another backbone")


def _find_faults(content: dict[str, Any]) -> list[str]:
    """A part of a sentence for each fault; of fields together only where each by itself is as it may be."""
    if faults := find_faults(content, _FIELDS, optional=_LATER):
        return faults
    lengths = {
        what: len(content[section][values])
        for what, section, values in (("thresholds", "thresholds", "values"), ("offsets", "calibration", "offsets"))
        if content.get(section) is not None
    }
    settings = {name: value for name, value in content["settings"].items() if name in _SETTINGS}
    return (
        find_class_faults(content["classes"], lengths)
        or find_faults(settings, _SETTINGS, optional=tuple(_SETTINGS))
        or _contradictions(content)
    )


def _contradictions(content: dict[str, Any]) -> list[str]:
    """Fields that are each as they may be, but not together."""
    kind, name = content["kind"], content["name"]
    known = [entry.name for entry in CATALOGUE.values() if entry.kind == kind]
    faults = []
    if kind == "pretrained" and (content.get("backbone") is None or content.get("head") not in HEADS):
        faults.append("a pretrained model without its backbone or head")
    if kind != "pretrained" and content.get("backbone") is not None:
        faults.append(f"a {kind} model with a backbone")
    if kind != "pretrained" and name not in known:
        faults.append(f"{quote(name)} is no {kind} model; they are {', '.join(known)}")
    if kind != "classic" and content["rendition"] is None:
        faults.append("a network without an image size")
    return faults
