"""A backbone with a linear head in timm's layout: its names for the weights, and ``config.json`` next to them.

``timm.create_model("local-dir:RUN/model", pretrained=True)`` then builds the same network. A head that timm has no
layer for (``prototype``, ``knn``) and an architecture whose classifier is not one dense layer over the pooled features
keep our own names, and get no ``config.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from distingo.machine.process import without_fresh_weights
from distingo.models.architectures import create_architecture, import_timm
from distingo.models.backbones import BackboneDescription
from distingo.models.heads import LinearHead, PretrainedClassifier

_Tensor = TypeVar("_Tensor")

CONFIG_FILE = "config.json"


_NETWORK = "network."


_BACKBONE = "network.backbone."


_HEAD = "network.head.linear."


_TOLERANCE = 1e-4


_SEED = 0


@dataclass(frozen=True, slots=True)
class TimmLayout:
    """A model in timm's layout.

    Attributes:
        tensors: By timm's names.
        configuration: The content of ``config.json``.
    """

    tensors: dict[str, Tensor]
    configuration: dict[str, object]


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


def rename_from_timm(tensors: dict[str, _Tensor], names: set[str]) -> dict[str, _Tensor]:
    """Our own names for tensors in timm's layout.

    Args:
        tensors: As read from the weights file; in our own layout they stay as they are.
        names: Names of the network's tensors, those of its normalization among them.

    Raises:
        ValueError: What timm's names leave over is no dense layer.
    """
    if any(name.startswith(_NETWORK) for name in tensors) or not any(name.startswith(_BACKBONE) for name in names):
        return tensors
    renamed = {_BACKBONE + name: tensor for name, tensor in tensors.items() if _BACKBONE + name in names}
    left = {name: tensor for name, tensor in tensors.items() if _BACKBONE + name not in names}
    for name, tensor in left.items():
        renamed[_HEAD + name.rpartition(".")[2]] = tensor
    if len(renamed) != len(tensors) or {name.rpartition(".")[2] for name in left} != {"weight", "bias"}:
        raise ValueError(f"{', '.join(sorted(left)[:3]) or 'nothing'} where one dense layer belongs")
    return renamed


def _agree(description: BackboneDescription, classifier: PretrainedClassifier, timm_model: nn.Module) -> bool:
    """Return whether both give the same logits, up to rounding, for an image of noise."""
    image_spec = description.image_spec
    generator = torch.Generator().manual_seed(_SEED)
    image = torch.randn(1, 3, image_spec.height, image_spec.width, generator=generator)
    parameter = next(classifier.parameters())
    training = classifier.training
    classifier.eval()
    try:
        with torch.inference_mode():
            expected = classifier(image.to(parameter.device, parameter.dtype)).float().cpu()
            actual = timm_model(image.to(parameter.dtype)).float()
    finally:
        classifier.train(training)
    scale = 1.0 + float(expected.abs().max())
    return actual.shape == expected.shape and bool(((actual - expected).abs() <= _TOLERANCE * scale).all())


def _configure(description: BackboneDescription, classes: tuple[str, ...], whole: Any) -> dict[str, object]:
    """What timm and `distingo.models.presets.read_settings` read of a folder."""
    image_spec = description.image_spec
    timm_configuration: dict[str, object] = dict(whole.pretrained_cfg)
    configuration = {
        "tag": description.tag,
        "custom_load": False,
        "input_size": [3, image_spec.height, image_spec.width],
        "fixed_input_size": "img_size" in description.arguments,
        "interpolation": image_spec.interpolation,
        "crop_pct": image_spec.crop_fraction,
        "crop_mode": "squash" if image_spec.fit == "stretch" else "center",
        "mean": list(description.mean),
        "std": list(description.std),
        "num_classes": len(classes),
        "pool_size": None,
        "first_conv": timm_configuration.get("first_conv"),
        "classifier": timm_configuration.get("classifier"),
        **({"license": description.license} if description.license else {}),
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
