"""``model.json``: the description of a model, with validation, reading and writing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from distingo.errors import ModelError, RunError, join_faults, quote
from distingo.files import write_json
from distingo.messages.notes import note, read_notes
from distingo.models.architectures import check_architecture
from distingo.models.backbones import BackboneDescription
from distingo.models.catalog import CATALOG
from distingo.models.heads import HEADS
from distingo.models.reference_data import Calibration
from distingo.records import NO_VALUE_RANGES, ImageSpec, Task, ValueRanges
from distingo.runs.fields import (
    CalibrationFields,
    Count,
    Hash,
    ImageSpecFields,
    JsonObject,
    Names,
    Number,
    Positive,
    Ranges,
    Text,
    ThresholdFields,
    Width,
    find_class_faults,
    find_faults,
    find_record_faults,
    read_record,
    to_record,
)
from distingo.runs.folder import FORMAT, RunFolder
from distingo.scores import Thresholds


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """Everything that is needed to use a model, except its weights.

    Attributes:
        name: Name of the model in the catalog.
        kind: ``network`` (trained from scratch), ``pretrained`` (a backbone with a head) or ``classic``.
        task: Single-label or multi-label.
        classes: Class names, in the order of the outputs.
        image_spec: Preprocessing of a network's images; None for a classic model, which uses descriptors.
        backbone: Description of a pretrained model's backbone, including its preprocessing.
        head: Kind of a pretrained model's head (`distingo.models.heads`).
        mode: ``scratch``, ``frozen`` or ``finetune``.
        engine: Engine of a frozen backbone, as in the recipe.
        precision: Precision of a frozen backbone's features, as in the recipe.
        normalise: As in the recipe.
        dropout: As in the recipe.
        settings: Settings of a classic model or a head.
        provenance: Data, seed, versions and date of the training.
        thresholds: Decision threshold of each label for multi-label; None for single-label.
        calibration: Calibration of the logits; None for no calibration.
        value_ranges: Value ranges that high-bit-depth images are scaled by. An image of a kind without a range (any
            kind, for a model of version 0.1) is scaled by its own range.
    """

    name: str
    kind: Literal["network", "pretrained", "classic"]
    task: Task
    classes: tuple[str, ...]
    image_spec: ImageSpec | None = None
    backbone: BackboneDescription | None = None
    head: str = ""
    mode: str = "scratch"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    precision: str = "auto"
    normalize: str = "none"
    dropout: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Thresholds | None = None
    calibration: Calibration | None = None
    value_ranges: ValueRanges = NO_VALUE_RANGES

    def require_thresholds(self) -> Thresholds:
        """Return the thresholds of a multi-label model; 0.5 for each label if none were chosen."""
        return self.thresholds or Thresholds((0.5,) * len(self.classes), "f1", notes=(note("no-thresholds"),))


_ADVICE = "train again, or take the model from where it came from"

_Channels = Annotated[list[Number], Meta(min_length=3, max_length=3)]


class _BackboneFields(msgspec.Struct, forbid_unknown_fields=True):
    """Validated fields of a `distingo.models.backbones.BackboneDescription`."""

    name: Text
    architecture: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,100}\Z")]
    tag: Text
    source: Literal["hub", "folder", "file", "none"]
    place: Text
    arguments: dict[str, Any]
    features: Width
    image_spec: ImageSpecFields
    mean: _Channels
    std: Annotated[list[Positive], Meta(min_length=3, max_length=3)]
    license: Text
    parameters: Count
    weights_hash: Hash = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """The content of ``model.json``; version 1 did not write the fields that have a default."""

    name: Annotated[Text, Meta(min_length=1)]
    kind: Literal["network", "pretrained", "classic"]
    task: Literal["single-label", "multi-label"]
    classes: Names
    image_spec: ImageSpecFields | None
    backbone: _BackboneFields | None = None
    head: Literal["", "linear", "linear-svm", "prototype", "knn"] = ""
    mode: Literal["scratch", "frozen", "finetune"] = "scratch"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    normalize: Literal["none", "dataset", "sample", "zca"]
    dropout: Annotated[float, Meta(ge=0, lt=1)] | None
    settings: dict[str, Any]
    provenance: dict[str, Any]
    thresholds: ThresholdFields | None = None
    calibration: CalibrationFields | None = None
    value_ranges: Ranges | None = None
    weights_hash: Hash


_SETTINGS: dict[str, object] = {
    "task": Literal["single-label", "multi-label"],
    "bank": Annotated[int, Meta(ge=1, le=1 << 31)],
    "neighbors": Annotated[int, Meta(ge=1, le=1 << 20)],
    "temperature": Positive,
    "classes": Annotated[int, Meta(ge=1, le=1 << 20)],
}
"""Settings that array sizes or loops depend on; others are only displayed."""


def read_model_file(path: Path) -> ModelFile:
    """Read a ``model.json``.

    Raises:
        RunError: It is missing, damaged or from a newer version; the message has one line per fault.
    """
    file = read_record(path, ModelFile, advice=_ADVICE, strict=True)
    if "neighbours" in file.settings:  # as version 0.1 wrote it
        others = {name: value for name, value in file.settings.items() if name != "neighbours"}
        file = replace(file, settings={**others, "neighbors": file.settings["neighbours"]})
    if faults := _find_faults(file):
        raise RunError(join_faults([f"{path}: damaged ({fault})" for fault in faults], _ADVICE), code="damaged_file")
    return file


def require_readable(content: JsonObject) -> None:
    """Raise an error, before training, if the model's ``model.json`` could not be read again.

    Args:
        content: JSON content of the file that will be written.

    Raises:
        ModelError: The message has one line per fault.
    """
    faults = find_record_faults(content, ModelFile, strict=True) or _find_faults(msgspec.convert(content, ModelFile))
    if faults:
        model = quote(content.get("name"))
        raise ModelError(
            join_faults([f"model {model} can't be saved: {fault}" for fault in faults], "choose other data or weights"),
            code="cannot_write",
        )


def require_readable_backbone(content: JsonObject) -> None:
    """Check a backbone's description as `require_readable` does, before any image is read.

    Raises:
        ModelError: The description is invalid.
    """
    if faults := find_faults({"backbone": content}, {"backbone": _BackboneFields}):
        raise ModelError(
            f"model {quote(content.get('name'))} can't be saved: {faults[0]}; choose another backbone",
            code="cannot_write",
        )


def _find_faults(file: ModelFile) -> list[str]:
    """Return a phrase for each contradiction between fields that are valid by themselves."""
    lengths = {} if file.thresholds is None else {"thresholds": len(file.thresholds.values)}
    if file.calibration is not None:
        lengths["offsets"] = len(file.calibration.offsets)
    settings = {name: value for name, value in file.settings.items() if name in _SETTINGS}
    return (
        find_class_faults(file.classes, lengths)
        or find_faults(settings, _SETTINGS, optional=tuple(_SETTINGS))
        or _contradictions(file)
    )


def _contradictions(file: ModelFile) -> list[str]:
    kind, name = file.kind, file.name
    names = [entry.name for entry in CATALOG.values() if entry.kind == kind]
    faults = []
    if kind == "pretrained" and (file.backbone is None or file.head not in HEADS):
        faults.append("a pretrained model without its backbone or head")
    if kind != "pretrained" and file.backbone is not None:
        faults.append(f"a {kind} model with a backbone")
    if kind != "pretrained" and name not in names:
        faults.append(f"{quote(name)} is no {kind} model; they are {', '.join(names)}")
    if kind != "classic" and file.image_spec is None:
        faults.append("a network without an image size")
    return faults


def read_description(folder: Path) -> ModelDescription:
    """Read ``model.json``, without the hash of the weights.

    Raises:
        RunError: It is missing, damaged or from a newer version.
    """
    return read_model_json(folder)[0]


def read_model_json(folder: Path) -> tuple[ModelDescription, str]:
    """Read ``model.json``.

    Args:
        folder: The ``model`` folder of a run.

    Returns:
        The description, and the hash of the weights.

    Raises:
        RunError: It is missing, damaged or from a newer version.
    """
    run, path = RunFolder(folder.parent), folder / "model.json"
    if run.model == folder and run.config.is_file() and not path.is_file():
        raise RunError(
            f"{run.path}: its training has not ended; `distingo train -o {run.path} --resume` continues",
            code="unfinished",
        )
    file = read_model_file(path)
    return _description_from(file, path), file.weights_hash


def write_model_json(folder: Path, description: ModelDescription, weights_hash: str) -> None:
    """Write ``model.json``; this must be the last file, as its presence means that the model is complete.

    Args:
        folder: The ``model`` folder of a run.
        description: Description of the model.
        weights_hash: Hash of the bytes of ``model.safetensors``.
    """
    write_json(folder / "model.json", {"format": FORMAT, **_describe(description), "weights_hash": weights_hash})


def _describe(description: ModelDescription) -> dict[str, object]:
    return {**asdict(description), "value_ranges": description.value_ranges.to_json()}


def require_savable(description: ModelDescription) -> None:
    """Raise an error, before training, if the model could not be loaded again.

    Raises:
        ModelError: The message has one line per fault.
    """
    require_readable({**json.loads(json.dumps(_describe(description))), "weights_hash": ""})


def _description_from(file: ModelFile, path: Path) -> ModelDescription:
    try:
        backbone = None if file.backbone is None else to_record(file.backbone, BackboneDescription)
        if backbone is not None:
            check_architecture(backbone.architecture, backbone.arguments)
        return ModelDescription(
            name=file.name,
            kind=file.kind,
            task=file.task,
            classes=tuple(file.classes),
            image_spec=None if file.image_spec is None else to_record(file.image_spec, ImageSpec),
            backbone=backbone,
            head=file.head,
            mode=file.mode,
            engine=file.engine,
            precision=file.precision,
            normalize=file.normalize,
            dropout=file.dropout,
            settings=file.settings,
            provenance=file.provenance,
            thresholds=None if file.thresholds is None else _thresholds_from(file.thresholds),
            calibration=None if file.calibration is None else to_record(file.calibration, Calibration),
            value_ranges=ValueRanges.from_json(file.value_ranges),
        )
    except (TypeError, ValueError, ModelError) as error:
        raise RunError(f"{path}: damaged ({error})", code="damaged_file") from error


def _thresholds_from(fields: ThresholdFields) -> Thresholds:
    return Thresholds(tuple(fields.values), fields.aim, fields.wanted, read_notes(fields.notes))
