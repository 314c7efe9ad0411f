"""``model.json``: the record that describes a model, what its fields may hold, and reading it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from distingo.errors import ModelError, RunError, join_faults, quote
from distingo.files import read_json, write_json
from distingo.messages.notes import note
from distingo.models.architectures import check_architecture
from distingo.models.backbones import BackboneDescription
from distingo.models.catalogue import CATALOGUE
from distingo.models.evidence import Calibration
from distingo.models.heads import HEADS
from distingo.records import NO_VALUE_RANGES, Rendition, Task, Thresholds, ValueRanges
from distingo.run_folder import FORMAT, RunFolder, check_format
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
    arguments: dict[str, object]
    features: Width
    rendition: RenditionFields
    mean: _Channels
    std: Annotated[list[Positive], Meta(min_length=3, max_length=3)]
    licence: Text
    parameters: Count
    weights_hash: Hash = ""


_FIELDS: dict[str, object] = {
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
    "settings": dict[str, object],
    "provenance": dict[str, object],
    "thresholds": ThresholdFields | None,
    "calibration": CalibrationFields | None,
    "value_ranges": Ranges | None,
    "weights_hash": Hash,
}

_LATER = ("backbone", "head", "mode", "engine", "precision", "thresholds", "calibration", "value_ranges")
"""Fields that the first version did not write."""

_SETTINGS: dict[str, object] = {
    "task": Literal["single-label", "multi-label"],
    "bank": Annotated[int, Meta(ge=1, le=1 << 31)],
    "neighbours": Annotated[int, Meta(ge=1, le=1 << 20)],
    "temperature": Positive,
    "classes": Annotated[int, Meta(ge=1, le=1 << 20)],
}
"""Settings that sizes or loops depend on; others are only shown."""


def check_description(content: Mapping[str, Any], path: Path) -> None:
    """Check the content of a ``model.json``, its format's number aside.

    Args:
        content: As from `distingo.files.read_json`.
        path: The file, for the error.

    Raises:
        RunError: One line for each fault.
    """
    if faults := _find_faults(content):
        raise RunError(join_faults([f"{path}: damaged ({fault})" for fault in faults], _ADVICE), code="damaged_file")


def require_readable(content: Mapping[str, Any]) -> None:
    """Refuse, before any training, a model whose ``model.json`` could not be read again after it.

    Args:
        content: Of the file that will be written, as JSON has it.

    Raises:
        ModelError: One line for each fault.
    """
    if faults := _find_faults(content):
        model = quote(content.get("name"))
        raise ModelError(
            join_faults([f"model {model} can't be saved: {fault}" for fault in faults], "choose other data or weights"),
            code="cannot_write",
        )


def require_readable_backbone(content: Mapping[str, Any]) -> None:
    """The same of a backbone's description alone, before any image is read.

    Raises:
        ModelError: One line.
    """
    if faults := find_faults({"backbone": content}, {"backbone": _BackboneFields}):
        raise ModelError(
            f"model {quote(content.get('name'))} can't be saved: {faults[0]}; choose another backbone",
            code="cannot_write",
        )


def _find_faults(content: Mapping[str, Any]) -> list[str]:
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


def _contradictions(content: Mapping[str, Any]) -> list[str]:
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


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """All that must be known to use a model, without its weights.

    Attributes:
        name: Its name in the catalogue.
        kind: ``network`` (trained from scratch), ``pretrained`` (a backbone with a head) or ``classic``.
        task: Single-label or multi-label.
        classes: Names, in the order of the outputs.
        rendition: The images a network wants; None for a classic model, which sees descriptors.
        backbone: Of a pretrained model; it carries the preprocessing.
        head: Of a pretrained model (`distingo.models.heads`).
        mode: ``scratch``, ``frozen`` or ``finetune``.
        engine: What runs a frozen backbone, as in the recipe.
        precision: Of a frozen backbone's features, as in the recipe.
        normalise: As in the recipe.
        dropout: As in the recipe.
        settings: A classic model's or a head's own.
        provenance: Data, seed, versions and date it was trained with.
        thresholds: Multi-label: from which probability on each is given; None with one.
        calibration: What logits go through before they become probabilities; None leaves them as they are.
        value_ranges: What the stored values of deep images are scaled by; an image of a kind that nothing is known of
            (of any kind for a model of version 0.1) is scaled by itself.
    """

    name: str
    kind: Literal["network", "pretrained", "classic"]
    task: Task
    classes: tuple[str, ...]
    rendition: Rendition | None = None
    backbone: BackboneDescription | None = None
    head: str = ""
    mode: str = "scratch"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    precision: str = "auto"
    normalise: str = "none"
    dropout: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Thresholds | None = None
    calibration: Calibration | None = None
    value_ranges: ValueRanges = NO_VALUE_RANGES

    def require_thresholds(self) -> Thresholds:
        """The thresholds of a model for several labels; 0.5 for each where none were chosen."""
        return self.thresholds or Thresholds((0.5,) * len(self.classes), "f1", notes=(note("no-thresholds"),))


def read_description(folder: Path) -> ModelDescription:
    """Read ``model.json`` alone.

    Raises:
        RunError: It is missing, damaged or from a newer version.
    """
    return read_model_json(folder)[0]


def read_model_json(folder: Path) -> tuple[ModelDescription, str]:
    """Read ``model.json``.

    Args:
        folder: The ``model`` folder of a run.

    Returns:
        The description, and the hash of the weights that it describes.

    Raises:
        RunError: It is missing, damaged or from a newer version.
    """
    run, path = RunFolder(folder.parent), folder / "model.json"
    if run.model == folder and run.config.is_file() and not path.is_file():
        raise RunError(
            f"{run.path}: its training has not ended; `distingo train -o {run.path} --resume` goes on",
            code="unfinished",
        )
    content = read_json(path)
    check_format(content, path)
    check_description(content, path)
    return _description_from(content, path), str(content["weights_hash"])


def write_model_json(folder: Path, description: ModelDescription, weights_hash: str) -> None:
    """Write ``model.json``; its presence means that all other files of the model are there.

    Args:
        folder: The ``model`` folder of a run.
        description: Of the model.
        weights_hash: Of the bytes of ``model.safetensors``.
    """
    write_json(folder / "model.json", {"format": FORMAT, **_describe(description), "weights_hash": weights_hash})


def require_savable(description: ModelDescription) -> None:
    """Refuse, before any training, a model that could not be loaded again after it.

    Raises:
        ModelError: One line for each fault.
    """
    require_readable({**json.loads(json.dumps(_describe(description))), "weights_hash": ""})


def _describe(description: ModelDescription) -> dict[str, object]:
    return {**asdict(description), "value_ranges": description.value_ranges.to_json()}


def _description_from(content: Mapping[str, Any], path: Path) -> ModelDescription:
    values = {name: value for name, value in content.items() if name not in {"format", "weights_hash"}}
    try:
        values["classes"] = tuple(values["classes"])
        if values["rendition"] is not None:
            values["rendition"] = Rendition(**values["rendition"])
        if values.get("backbone") is not None:
            values["backbone"] = BackboneDescription.from_json(values["backbone"])
        values["thresholds"] = Thresholds.from_json(values.get("thresholds"))
        values["calibration"] = Calibration.from_json(values.get("calibration"))
        values["value_ranges"] = ValueRanges.from_json(values.get("value_ranges"))
        description = ModelDescription(**values)
        if description.backbone is not None:
            check_architecture(description.backbone.architecture, description.backbone.arguments)
        return description
    except (KeyError, TypeError, ValueError, ModelError) as error:
        raise RunError(f"{path}: damaged ({error})", code="damaged_file") from error
