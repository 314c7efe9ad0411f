"""What ``model.json`` may hold, whoever wrote it.

A backbone with a linear head as timm lays it out: its names for the weights, and ``config.json`` beside them.

``timm.create_model("local-dir:RUN/model", pretrained=True)`` then builds the same network. A head that timm has no
layer for (``prototype``, ``knn``) and an architecture whose classifier is not one dense layer over the pooled features
keep our own names, and get no ``config.json``.

``bank.safetensors``: a feature bank as it lies beside a saved model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor, nn

from distingo.checksums import CHECKSUM, TENSOR_PLACE, seal_tensors
from distingo.errors import ModelError, RunError, join_faults, quote
from distingo.files import require_intact_tensors, write_bytes
from distingo.machine.compiler import without_fresh_weights
from distingo.models.architectures import create_architecture, import_timm
from distingo.models.backbones import BackboneDescription
from distingo.models.catalogue import CATALOGUE
from distingo.models.feature_bank import FeatureBank, check_bank
from distingo.models.heads import HEADS, LinearHead
from distingo.models.pretrained import PretrainedClassifier
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
        raise RunError(join_faults([f"{path}: damaged ({fault})" for fault in faults], _ADVICE), code="damaged_file")


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
            join_faults([f"model {model} can't be saved: {fault}" for fault in faults], "choose other data or weights"),
            code="cannot_write",
        )


def require_readable_backbone(content: dict[str, Any]) -> None:
    """The same of a backbone's description alone, before any image is read.

    Raises:
        ModelError: One line.
    """
    if faults := find_faults({"backbone": content}, {"backbone": _BackboneFields}):
        raise ModelError(
            f"model {quote(content.get('name'))} can't be saved: {faults[0]}; choose another backbone",
            code="cannot_write",
        )


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


CONFIG_FILE = "config.json"

_OURS = "network."

_BACKBONE = "network.backbone."

_HEAD = "network.head.linear."

_TOLERANCE = 1e-4

_SEED = 0


@dataclass(frozen=True, slots=True)
class TimmLayout:
    """A model as timm has it.

    Attributes:
        tensors: By timm's names.
        configuration: The content of ``config.json``.
    """

    tensors: dict[str, Tensor]
    configuration: dict[str, Any]


def lay_out(description: BackboneDescription, classes: tuple[str, ...], network: nn.Module) -> TimmLayout | None:
    """Lay a pretrained model out for timm; compared by its logits for one image of noise.

    Args:
        description: Of its backbone.
        classes: Names, in the order of the logits.
        network: As `distingo.models.saved.assemble_network` builds it.

    Returns:
        None where timm can't have the same network.
    """
    classifier = network.get_submodule("network")
    if not isinstance(classifier, PretrainedClassifier) or not isinstance(classifier.head, LinearHead):
        return None
    with without_fresh_weights():
        whole: Any = create_architecture(description.architecture, description.arguments, classes=len(classes)).eval()
    layer = whole.pretrained_cfg.get("classifier")
    if not isinstance(layer, str):
        return None
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.backbone.state_dict().items()}
    for name, tensor in classifier.head.linear.state_dict().items():
        tensors[f"{layer}.{name}"] = tensor.detach().cpu().contiguous()
    shapes = {name: tensor.shape for name, tensor in whole.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        return None
    whole.load_state_dict(tensors, assign=True)
    if not _agree(description, classifier, whole):
        return None
    return TimmLayout(tensors, _configure(description, classes, whole))


def name_as_ours(tensors: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    """Our own names for tensors in timm's layout.

    Args:
        tensors: As read from the weights file; in our own layout they stay as they are.
        wanted: Names of the network's tensors, those of its normalisation among them.

    Raises:
        ValueError: What timm's names leave over is no dense layer.
    """
    if any(name.startswith(_OURS) for name in tensors) or not any(name.startswith(_BACKBONE) for name in wanted):
        return tensors
    renamed = {_BACKBONE + name: tensor for name, tensor in tensors.items() if _BACKBONE + name in wanted}
    left = {name: tensor for name, tensor in tensors.items() if _BACKBONE + name not in wanted}
    for name, tensor in left.items():
        renamed[_HEAD + name.rpartition(".")[2]] = tensor
    if len(renamed) != len(tensors) or {name.rpartition(".")[2] for name in left} != {"weight", "bias"}:
        raise ValueError(f"{', '.join(sorted(left)[:3]) or 'nothing'} where one dense layer belongs")
    return renamed


def _agree(description: BackboneDescription, ours: PretrainedClassifier, theirs: nn.Module) -> bool:
    """Whether both give the same logits, up to rounding, for an image of noise."""
    rendition = description.rendition
    generator = torch.Generator().manual_seed(_SEED)
    image = torch.randn(1, 3, rendition.height, rendition.width, generator=generator)
    parameter = next(ours.parameters())
    training = ours.training
    ours.eval()
    try:
        with torch.inference_mode():
            expected = ours(image.to(parameter.device, parameter.dtype)).float().cpu()
            found = theirs(image.to(parameter.dtype)).float()
    finally:
        ours.train(training)
    scale = 1.0 + float(expected.abs().max())
    return found.shape == expected.shape and bool(((found - expected).abs() <= _TOLERANCE * scale).all())


def _configure(description: BackboneDescription, classes: tuple[str, ...], whole: Any) -> dict[str, Any]:
    """What timm and `distingo.models.presets.read_settings` read of a folder."""
    rendition = description.rendition
    theirs: dict[str, Any] = dict(whole.pretrained_cfg)
    configuration = {
        "tag": description.tag,
        "custom_load": False,
        "input_size": [3, rendition.height, rendition.width],
        "fixed_input_size": "img_size" in description.arguments,
        "interpolation": rendition.interpolation,
        "crop_pct": rendition.crop_fraction,
        "crop_mode": "squash" if rendition.fit == "stretch" else "center",
        "mean": list(description.mean),
        "std": list(description.std),
        "num_classes": len(classes),
        "pool_size": None,
        "first_conv": theirs.get("first_conv"),
        "classifier": theirs.get("classifier"),
        **({"license": description.licence} if description.licence else {}),
    }
    return {
        "architecture": description.architecture,
        "num_classes": len(classes),
        "num_features": int(getattr(whole, "num_features", description.features)),
        "label_names": list(classes),
        "model_args": dict(description.arguments),
        "pretrained_cfg": configuration,
        "library_name": "timm",
        "library_version": import_timm().__version__,
    }


BANK_FILE = "bank.safetensors"


def save_bank(folder: Path, bank: FeatureBank) -> None:
    """Write ``bank.safetensors``: rows, center, scale, unit and contents (uint8, 16 bytes for each row)."""
    hashes = np.frombuffer(bytes.fromhex("".join(bank.contents)), np.uint8).reshape(len(bank.contents), -1)
    tensors = {"rows": bank.rows, "contents": hashes, "center": bank.center, "scale": bank.scale}
    tensors["unit"] = np.array([bank.unit])
    plain = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_bytes(folder / BANK_FILE, seal_tensors(save(plain, {CHECKSUM: TENSOR_PLACE})))


def load_bank(folder: Path) -> FeatureBank | None:
    """Read back what `save_bank` wrote; None where a model has no bank.

    Args:
        folder: The ``model`` folder of a run.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / BANK_FILE
    if not path.is_file():
        return None
    try:
        require_intact_tensors(path)
        tensors = load(path.read_bytes())
        contents = tuple(bytes(row).hex() for row in tensors["contents"])
        rows, center, scale = tensors["rows"], tensors["center"], tensors["scale"]
        return check_bank(FeatureBank(rows, contents, center, scale, bool(tensors["unit"][0])))
    except (OSError, KeyError, TypeError, ValueError, IndexError, SafetensorError) as error:
        raise RunError(f"{path}: damaged ({error}); train again or restore it", code="damaged_file") from error
