"""What a network's layers find in a picture: its first filters, and feature maps from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from distingo.errors import ModelError
from distingo.explanation.grids import as_grid
from distingo.explanation.records import LayerMaps
from distingo.models.pretrained import PretrainedClassifier

MOST_LAYERS = 6
MOST_MAPS = 16
MOST_FILTERS = 64


def first_filters(network: nn.Module) -> tuple[str, np.ndarray]:
    """The filters of a network's first convolution; of a transformer, what it cuts its patches with.

    Args:
        network: Of a saved model.

    Returns:
        The layer's name, and float32 (filters, rows, columns, channels), at most `MOST_FILTERS`, the longest first. An
        empty name and no filters where there is no convolution over the picture's 1 or 3 channels.
    """
    for name, layer in network.get_submodule("network").named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels in {1, 3} and layer.groups == 1:
            filters = layer.weight.detach().float().cpu().permute(0, 2, 3, 1).numpy()
            lengths = np.sqrt((filters**2).sum(axis=(1, 2, 3)))
            return name, filters[np.argsort(-lengths, kind="stable")[:MOST_FILTERS]]
    return "", np.zeros((0, 1, 1, 1), np.float32)


@torch.inference_mode()
def feature_maps(network: nn.Module, images: Tensor) -> tuple[LayerMaps, ...]:
    """The maps that a network's stages make of a picture.

    Args:
        network: Of a saved model, in evaluation mode.
        images: Float (1, channels, height, width) in [0, 1].

    Returns:
        At most `MOST_LAYERS` layers, evenly chosen, the first and the last among them.
    """
    classifier = network.get_submodule("network")
    trunk = classifier.backbone if isinstance(classifier, PretrainedClassifier) else classifier
    stages = _spread(_stages(trunk), MOST_LAYERS)
    with _recording(trunk, [name for name, _ in stages]) as outputs:
        network(images)
    found = []
    for name, channels in stages:
        try:
            grid = as_grid(outputs[name], trunk, channels)[0]
        except (KeyError, ModelError):  # not passed as a module, or no map
            continue
        found.append(_choose_maps(name, grid.permute(2, 0, 1).float().cpu().numpy()))
    return tuple(found)


def _stages(trunk: nn.Module) -> list[tuple[str, int | None]]:
    """Layers by name whose outputs are worth seeing, in order, with their number of channels where it is known."""
    information = getattr(trunk, "feature_info", None)
    if information:
        listed = [(str(entry["module"]), int(entry["num_chs"])) for entry in information]
        modules = dict(trunk.named_modules())
        return [(name, channels) for name, channels in listed if name in modules]
    parts = [(part, layers) for part, layers in trunk.named_children() if part in {"stem", "body", "features"}]
    return [(f"{part}.{name}", None) for part, layers in parts for name, _ in layers.named_children()]


def _spread(stages: list[tuple[str, int | None]], most: int) -> list[tuple[str, int | None]]:
    if len(stages) <= most:
        return stages
    return [stages[round(place)] for place in np.linspace(0, len(stages) - 1, most)]


@contextmanager
def _recording(trunk: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            outputs[name] = output.clone()  # the next layer may work in place

    hooks = [
        trunk.get_submodule(name).register_forward_hook(lambda _layer, _inputs, output, name=name: keep(name, output))
        for name in names
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def _choose_maps(name: str, maps: np.ndarray) -> LayerMaps:
    varying = maps.std(axis=(1, 2))
    shown = np.argsort(-varying, kind="stable")[:MOST_MAPS]
    return LayerMaps(name, len(maps), tuple(map(int, shown)), maps[shown])
