"""A saved model: ``model.json`` describes what is in ``model.safetensors``; neither can run code.

Next to them are the feature bank (``bank.safetensors``) and the calibration set, where the model has them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor, from_numpy, nn

from distingo.checksums import TensorEntry, write_tensors
from distingo.errors import ModelError, RunError, quote
from distingo.files import atomic_writer, content_hash, require_intact_tensors, write_bytes, write_json
from distingo.machine.process import without_values
from distingo.models.architectures import require_room
from distingo.models.backbones import BackboneDescription, build_backbone
from distingo.models.baselines import DescriptorClassifier, FrequencyClassifier, MajorityClassifier
from distingo.models.catalog import build_network
from distingo.models.description import (
    ModelDescription,
    read_model_json,
    write_model_json,
)
from distingo.models.heads import NeighborHead, PretrainedClassifier, build_head
from distingo.models.layers import ChannelNormalization, build_normalization
from distingo.models.reference_data import (
    CalibrationSet,
    FeatureBank,
    check_bank,
    load_calibration_set,
    save_calibration_set,
)
from distingo.models.timm_layout import CONFIG_FILE, lay_out, rename_from_timm

ClassicClassifier = DescriptorClassifier | MajorityClassifier | FrequencyClassifier

_NORMALIZATION = "normalisation."
"""Begins the names of its constants."""

_CLASSIC: dict[str, type[ClassicClassifier]] = {
    "descriptors": DescriptorClassifier,
    "majority": MajorityClassifier,
    "prevalence": FrequencyClassifier,
}


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A description with what it describes.

    Attributes:
        description: What the model is.
        network: From float (n, channels, height, width) in [0, 1] to logits; None for a classic model.
        classic: The classic model, or None.
        bank: Features of training images; None where a model looks at no features, or an older one kept none.
        calibration_set: What it said about the validation images; None where none was kept.
    """

    description: ModelDescription
    network: nn.Module | None = None
    classic: ClassicClassifier | None = None
    bank: FeatureBank | None = None
    calibration_set: CalibrationSet | None = None

    def __repr__(self) -> str:
        return (
            f"SavedModel({self.description.name!r}, {self.description.kind}, {len(self.description.classes)} classes)"
        )


def assemble_network(description: ModelDescription) -> nn.Sequential:
    """A network behind its normalization, with fresh weights from torch's global random state.

    Args:
        description: Of a network or a pretrained model.

    Returns:
        A module with the parts ``normalization`` and ``network``.
    """
    if description.backbone is not None:
        return _assemble_pretrained(description, description.backbone)
    image_spec = description.image_spec
    if image_spec is None:
        raise RunError(f"model {description.name}: a network without a picture size", code="damaged_file")
    normalization = build_normalization(
        description.normalize,
        channels=image_spec.channels,
        pixels=image_spec.channels * image_spec.height * image_spec.width,
    )
    network = build_network(
        description.name,
        classes=len(description.classes),
        height=image_spec.height,
        width=image_spec.width,
        channels=image_spec.channels,
        dropout=description.dropout,
    )
    return nn.Sequential(OrderedDict(normalisation=normalization, network=network))


def _assemble_pretrained(description: ModelDescription, backbone: BackboneDescription) -> nn.Sequential:
    head = build_head(description.head, backbone.features, len(description.classes), description.settings)
    return join_backbone(backbone, build_backbone(backbone), head)


def join_backbone(description: BackboneDescription, backbone: nn.Module, head: nn.Module) -> nn.Sequential:
    """A backbone behind its own normalization, and a head: the parts ``normalization`` and ``network``."""
    normalization = ChannelNormalization(description.mean, description.std)
    return nn.Sequential(OrderedDict(normalisation=normalization, network=PretrainedClassifier(backbone, head)))


def feature_extractor(network: nn.Module) -> nn.Sequential:
    """The part of a pretrained model that gives features: from float (n, 3, height, width) in [0, 1]."""
    classifier = network.get_submodule("network")
    if not isinstance(classifier, PretrainedClassifier):
        raise TypeError("only a pretrained model has features of its own")
    return nn.Sequential(network.get_submodule("normalisation"), classifier.backbone)


def save_model(folder: Path, model: SavedModel) -> None:
    """Write ``model.safetensors``, then ``model.json`` with its hash: the JSON's presence means all is whole.

    Before them ``bank.safetensors`` and ``confidence.json``, where the model has them, and ``config.json``, where timm
    can have the same network (`distingo.models.description`): then the weights have timm's names.

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
    if model.calibration_set is not None:
        save_calibration_set(folder, model.calibration_set)
    weights = save(tensors)
    write_bytes(folder / "model.safetensors", weights)
    write_model_json(folder, model.description, content_hash(weights))


def _lay_out(folder: Path, description: ModelDescription, network: nn.Module) -> dict[str, Tensor]:
    """The tensors to write; in timm's layout, and with its ``config.json``, where that can be."""
    backbone = description.backbone
    layout = None if backbone is None else lay_out(backbone, description.classes, network)
    if layout is not None:
        write_json(folder / CONFIG_FILE, layout.configuration)
        return layout.tensors
    state: dict[str, Tensor] = network.state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def load_model(folder: Path) -> SavedModel:
    """Read a saved model, ready to predict.

    Args:
        folder: The ``model`` folder of a run.

    Raises:
        RunError: A file is missing, damaged, from a newer version, or the two do not belong together.
        ModelError: This timm can't build the architecture, or the description asks for more than layers.
    """
    description, weights_hash = read_model_json(folder)
    tensors = _read_weights(folder / "model.safetensors", weights_hash)
    bank, calibration_set = load_bank(folder), load_calibration_set(folder)
    try:
        if description.kind == "classic":
            kind: type[ClassicClassifier] = _CLASSIC[description.name]
            _require_classes(description, tensors)
            classic = kind.from_tensors(tensors, description.settings)
            return SavedModel(description, classic=classic, bank=bank, calibration_set=calibration_set)
        named = _require_shapes(description, tensors)
        network = assemble_network(description)
        fresh: dict[str, Tensor] = network.state_dict()
        state = {name: from_numpy(array) for name, array in named.items()}
        normalization = {name: tensor for name, tensor in fresh.items() if name.startswith(_NORMALIZATION)}
        network.load_state_dict(state if named is tensors else {**normalization, **state})
        _require_votes(network)
    except ModelError:
        raise
    except Exception as error:  # an architecture's own code refuses odd arguments in any way that it likes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError(
            f"{folder}: weights do not fit the model {quote(description.name)[1:-1]} ({reason})", code="weights_differ"
        ) from error
    return SavedModel(description, network=network.eval(), bank=bank, calibration_set=calibration_set)


def _require_shapes(description: ModelDescription, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Refuse weights of other shapes before the network that is described takes any memory; gives them our names."""
    with without_values():
        network = assemble_network(description)
    described = network.state_dict()
    require_room(network, sum(array.size for array in tensors.values()))
    named = rename_from_timm(tensors, set(described))
    for name, tensor in described.items():
        if name not in named:
            if named is not tensors and name.startswith(_NORMALIZATION):
                continue  # timm has it in its configuration
            raise ValueError(f"{name} is missing")
        if tuple(tensor.shape) != named[name].shape:
            raise ValueError(f"{name} is {named[name].shape} instead of {tuple(tensor.shape)}")
    return named


def _require_classes(description: ModelDescription, tensors: dict[str, np.ndarray]) -> None:
    """Raise an error if a classic model's number of probabilities differs from the number of classes."""
    counts = {len(tensors[name]) for name in ("frequencies", "intercept") if name in tensors}
    if "classes" in description.settings:
        counts.add(int(description.settings["classes"]))
    if counts != {len(description.classes)}:
        of = ", ".join(map(str, sorted(counts))) or "no"
        raise ValueError(f"probabilities of {of} classes for {len(description.classes)}")


def _require_votes(network: nn.Module) -> None:
    """Raise an error if a bank's neighbors vote for classes that do not exist."""
    for head in network.modules():
        if isinstance(head, NeighborHead) and head.targets.numel():
            low, high = int(head.targets.min()), int(head.targets.max())
            if low < 0 or high >= (2 if head.several else len(head.prior)):
                raise ValueError(f"neighbors vote for class {high if low >= 0 else low}")


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


BANK_FILE = "bank.safetensors"


def save_bank(folder: Path, bank: FeatureBank) -> None:
    """Write ``bank.safetensors``: rows, center, scale, unit and contents (uint8, 16 bytes for each row)."""
    hashes = np.frombuffer(bytes.fromhex("".join(bank.contents)), np.uint8).reshape(len(bank.contents), -1)
    tensors = {"rows": bank.rows, "contents": hashes, "center": bank.center, "scale": bank.scale}
    tensors["unit"] = np.array([bank.unit])
    with atomic_writer(folder / BANK_FILE) as file:
        write_tensors(file, {name: TensorEntry.from_array(array) for name, array in tensors.items()})


def load_bank(folder: Path) -> FeatureBank | None:
    """Read the bank that `save_bank` wrote, or return None if there is none.

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
