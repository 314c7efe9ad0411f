"""The self-describing saved model: ``model.json`` says what ``model.safetensors`` is; neither can run code."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor, from_numpy, nn

from distingo.errors import ModelError, RunError, quote
from distingo.files import content_hash, read_json, write_bytes, write_json
from distingo.machine.compiler import without_values
from distingo.messages.notes import note
from distingo.models.architectures import check_architecture, require_room
from distingo.models.backbones import BackboneDescription, build_backbone
from distingo.models.catalogue import build_network
from distingo.models.descriptors import DescriptorClassifier
from distingo.models.evidence import Calibration, Evidence, load_evidence, save_evidence
from distingo.models.feature_bank import FeatureBank
from distingo.models.heads import NeighbourHead, build_head
from distingo.models.majority import MajorityClassifier
from distingo.models.pretrained import ChannelNormalisation, PretrainedClassifier, build_normalisation
from distingo.models.prevalence import PrevalenceClassifier
from distingo.models.saved_layout import (
    CONFIG_FILE,
    check_description,
    lay_out,
    load_bank,
    name_as_ours,
    require_readable,
    save_bank,
)
from distingo.records import NO_VALUE_RANGES, Rendition, Task, Thresholds, ValueRanges
from distingo.run_folder import FORMAT, RunFolder, check_format

ClassicClassifier = DescriptorClassifier | MajorityClassifier | PrevalenceClassifier

_NORMALISATION = "normalisation."
"""Begins the names of its constants."""

_CLASSIC: dict[str, type[ClassicClassifier]] = {
    "descriptors": DescriptorClassifier,
    "majority": MajorityClassifier,
    "prevalence": PrevalenceClassifier,
}


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """All that must be known to use a model, without its weights.

    Attributes:
        name: Its name in the catalogue.
        kind: ``network`` (trained from scratch), ``pretrained`` (a backbone with a head) or ``classic``.
        task: One label per picture, or several.
        classes: Names, in the order of the outputs.
        rendition: The pictures a network wants; None for a classic model, which sees descriptors.
        backbone: Of a pretrained model; it carries the preprocessing.
        head: Of a pretrained model (`distingo.models.heads`).
        mode: ``scratch``, ``frozen`` or ``finetune``.
        engine: What runs a frozen backbone, as in the recipe.
        precision: Of a frozen backbone's features, as in the recipe.
        normalise: As in the recipe.
        dropout: As in the recipe.
        settings: A classic model's or a head's own.
        provenance: Data, seed, versions and date it was trained with.
        thresholds: With several labels, from which probability on each is given; None with one.
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
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    thresholds: Thresholds | None = None
    calibration: Calibration | None = None
    value_ranges: ValueRanges = NO_VALUE_RANGES

    def require_thresholds(self) -> Thresholds:
        """The thresholds of a model for several labels; 0.5 for each where none were chosen."""
        return self.thresholds or Thresholds((0.5,) * len(self.classes), "f1", notes=(note("no-thresholds"),))


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A description with what it describes.

    Attributes:
        description: What the model is.
        network: From float (n, channels, height, width) in [0, 1] to logits; None for a classic model.
        classic: The classic model, or None.
        bank: Features of training pictures; None where a model looks at no features, or an older one kept none.
        evidence: What it said about the validation pictures; None where none was kept.
    """

    description: ModelDescription
    network: nn.Module | None = None
    classic: ClassicClassifier | None = None
    bank: FeatureBank | None = None
    evidence: Evidence | None = None

    def __repr__(self) -> str:
        return (
            f"SavedModel({self.description.name!r}, {self.description.kind}, {len(self.description.classes)} classes)"
        )


def assemble_network(description: ModelDescription) -> nn.Sequential:
    """A network behind its normalisation, with fresh weights from torch's global random state.

    Args:
        description: Of a network or a pretrained model.

    Returns:
        A module with the parts ``normalisation`` and ``network``.
    """
    if description.backbone is not None:
        return _assemble_pretrained(description, description.backbone)
    rendition = description.rendition
    if rendition is None:
        raise RunError(f"model {description.name}: a network without a picture size", code="damaged_file")
    normalisation = build_normalisation(
        description.normalise,
        channels=rendition.channels,
        pixels=rendition.channels * rendition.height * rendition.width,
    )
    network = build_network(
        description.name,
        classes=len(description.classes),
        height=rendition.height,
        width=rendition.width,
        channels=rendition.channels,
        dropout=description.dropout,
    )
    return nn.Sequential(OrderedDict(normalisation=normalisation, network=network))


def _assemble_pretrained(description: ModelDescription, backbone: BackboneDescription) -> nn.Sequential:
    head = build_head(description.head, backbone.features, len(description.classes), description.settings)
    return join_backbone(backbone, build_backbone(backbone), head)


def join_backbone(description: BackboneDescription, backbone: nn.Module, head: nn.Module) -> nn.Sequential:
    """A backbone behind its own normalisation, and a head: the parts ``normalisation`` and ``network``."""
    normalisation = ChannelNormalisation(description.mean, description.std)
    return nn.Sequential(OrderedDict(normalisation=normalisation, network=PretrainedClassifier(backbone, head)))


def feature_extractor(network: nn.Module) -> nn.Sequential:
    """The part of a pretrained model that gives features: from float (n, 3, height, width) in [0, 1]."""
    classifier = network.get_submodule("network")
    if not isinstance(classifier, PretrainedClassifier):
        raise TypeError("only a pretrained model has features of its own")
    return nn.Sequential(network.get_submodule("normalisation"), classifier.backbone)


def save_model(folder: Path, model: SavedModel) -> None:
    """Write ``model.safetensors``, then ``model.json`` with its hash: the JSON's presence means all is whole.

    Before them ``bank.safetensors`` and ``confidence.json``, where the model has them, and ``config.json``, where timm
    can have the same network (`distingo.models.saved_layout`): then the weights have timm's names.

    Args:
        folder: Made if missing.
        model: What to save.
    """
    if model.network is not None:
        tensors = {name: tensor.numpy() for name, tensor in _lay_out(folder, model.description, model.network).items()}
    elif model.classic is not None:
        tensors = {name: np.ascontiguousarray(array) for name, array in model.classic.to_tensors().items()}
    else:
        raise ValueError("a saved model holds a network or a classic classifier")
    if model.bank is not None:
        save_bank(folder, model.bank)
    if model.evidence is not None:
        save_evidence(folder, model.evidence)
    weights = save(tensors)
    write_bytes(folder / "model.safetensors", weights)
    content = {"format": FORMAT, **_describe(model.description), "weights_hash": content_hash(weights)}
    write_json(folder / "model.json", content)


def _describe(description: ModelDescription) -> dict[str, Any]:
    return {**asdict(description), "value_ranges": description.value_ranges.to_json()}


def require_savable(description: ModelDescription) -> None:
    """Refuse, before any training, a model that could not be loaded again after it.

    Raises:
        ModelError: One line for each fault.
    """
    require_readable({**json.loads(json.dumps(_describe(description))), "weights_hash": ""})


def _lay_out(folder: Path, description: ModelDescription, network: nn.Module) -> dict[str, Tensor]:
    """The tensors to write; in timm's layout, and with its ``config.json``, where that can be."""
    backbone = description.backbone
    layout = None if backbone is None else lay_out(backbone, description.classes, network)
    if layout is not None:
        write_json(folder / CONFIG_FILE, layout.configuration)
        return layout.tensors
    state: dict[str, Tensor] = network.state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def read_description(folder: Path) -> ModelDescription:
    """Read ``model.json`` alone.

    Raises:
        RunError: It is missing, damaged or from a newer version.
    """
    return _description_from(_read_model_json(folder), folder / "model.json")


def load_model(folder: Path) -> SavedModel:
    """Read a saved model, ready to predict.

    Args:
        folder: The ``model`` folder of a run.

    Raises:
        RunError: A file is missing, damaged, from a newer version, or the two do not belong together.
        ModelError: This timm can't build the architecture, or the description asks for more than layers.
    """
    content = _read_model_json(folder)
    description = _description_from(content, folder / "model.json")
    tensors = _read_weights(folder / "model.safetensors", content["weights_hash"])
    bank, evidence = load_bank(folder), load_evidence(folder)
    try:
        if description.kind == "classic":
            kind: type[ClassicClassifier] = _CLASSIC[description.name]
            _require_classes(description, tensors)
            classic = kind.from_tensors(tensors, description.settings)
            return SavedModel(description, classic=classic, bank=bank, evidence=evidence)
        named = _require_shapes(description, tensors)
        network = assemble_network(description)
        fresh: dict[str, Tensor] = network.state_dict()
        state = {name: from_numpy(array) for name, array in named.items()}
        normalisation = {name: tensor for name, tensor in fresh.items() if name.startswith(_NORMALISATION)}
        network.load_state_dict(state if named is tensors else {**normalisation, **state})
        _require_votes(network)
    except ModelError:
        raise
    except Exception as error:  # an architecture's own code refuses odd arguments in any way that it likes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError(
            f"{folder}: weights do not fit the model {quote(description.name)[1:-1]} ({reason})", code="weights_differ"
        ) from error
    return SavedModel(description, network=network.eval(), bank=bank, evidence=evidence)


def _require_shapes(description: ModelDescription, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Refuse weights of other shapes before the network that is described takes any memory; gives them our names."""
    with without_values():
        network = assemble_network(description)
    described = network.state_dict()
    require_room(network, sum(array.size for array in tensors.values()))
    named = name_as_ours(tensors, set(described))
    for name, tensor in described.items():
        if name not in named:
            if named is not tensors and name.startswith(_NORMALISATION):
                continue  # timm has it in its configuration
            raise ValueError(f"{name} is missing")
        if tuple(tensor.shape) != named[name].shape:
            raise ValueError(f"{name} is {named[name].shape} instead of {tuple(tensor.shape)}")
    return named


def _require_classes(description: ModelDescription, tensors: dict[str, np.ndarray]) -> None:
    """Refuse a classic model that gives probabilities of more or fewer classes than are named."""
    counts = {len(tensors[name]) for name in ("frequencies", "intercept") if name in tensors}
    if "classes" in description.settings:
        counts.add(int(description.settings["classes"]))
    if counts != {len(description.classes)}:
        of = ", ".join(map(str, sorted(counts))) or "no"
        raise ValueError(f"probabilities of {of} classes for {len(description.classes)}")


def _require_votes(network: nn.Module) -> None:
    """Refuse a bank of neighbours that vote for classes that are none."""
    for head in network.modules():
        if isinstance(head, NeighbourHead) and head.targets.numel():
            low, high = int(head.targets.min()), int(head.targets.max())
            if low < 0 or high >= (2 if head.several else len(head.prior)):
                raise ValueError(f"neighbours vote for class {high if low >= 0 else low}")


def _read_model_json(folder: Path) -> dict[str, Any]:
    run = RunFolder(folder.parent)
    if run.model == folder and run.config.is_file() and not (folder / "model.json").is_file():
        raise RunError(
            f"{run.path}: its training has not ended; `distingo train -o {run.path} --resume` goes on",
            code="unfinished",
        )
    content = read_json(folder / "model.json")
    check_format(content, folder / "model.json")
    check_description(content, folder / "model.json")
    return dict(content)


def _description_from(content: dict[str, Any], path: Path) -> ModelDescription:
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


def _read_weights(path: Path, expected_hash: str) -> dict[str, np.ndarray]:
    if path.exists() and not path.is_file():
        raise RunError(f"{path}: is no regular file", code="not_regular_file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: missing or unreadable ({error.strerror})", code="cannot_read") from error
    if content_hash(content) != expected_hash:
        raise RunError(
            f"{path}: damaged, or not the weights that model.json describes; train again or restore it",
            code="damaged_file",
        )
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise RunError(f"{path}: damaged ({error})", code="damaged_file") from error
