"""Heat maps of a run's top losses, stored in the run for its report."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distingo.datasets.decoding.decode import open_source
from distingo.datasets.decoding.rendering import render, shorter_side_for, visible_part
from distingo.datasets.walking import source_of
from distingo.errors import DistingoError, ModelError
from distingo.explanation.relevance import attention_layers, find_heat
from distingo.machine.process import bind_this_thread
from distingo.models.saved import SavedModel
from distingo.prediction.networks import to_tensor
from distingo.records import ImageSpec
from distingo.runs.predictions import StoredHeatMap, write_heat_maps

MIN_MAPS = 4
OPERATIONS = 200e9
"""Budget of floating-point operations for all maps, about a second on two cores; at least `MIN_MAPS` are made."""

_BATCH = 4


def write_top_loss_maps(
    model: SavedModel, root: Path, losses: Sequence[tuple[str, str]], path: Path, device: torch.device
) -> int:
    """Compute and write heat maps for a model's wrong predictions.

    Their number depends on the cost of the network and not on elapsed time, so that runs are reproducible.

    Args:
        model: The model; nothing is written for classic models.
        root: Base folder of the files.
        losses: Files with their predicted classes, the most important first.
        path: The file to write.
        device: Device of the network.

    Returns:
        Number of written maps. Images that can no longer be opened, or have a zero gradient, are left out.
    """
    image_spec, network = model.description.image_spec, model.network
    if image_spec is None or network is None or not losses:
        return 0
    network = network.to(device).eval()
    if len(losses) > MIN_MAPS:
        losses = losses[: _affordable(network, image_spec, device)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        opened = list(pool.map(lambda pair: _open(root, pair[0], model), losses))
    pairs = [(*pair, *image) for pair, image in zip(losses, opened, strict=True) if image is not None]
    maps: list[StoredHeatMap] = []
    try:
        for start in range(0, len(pairs), _BATCH):
            maps += _explain(model, network, pairs[start : start + _BATCH], device)
    except ModelError:  # a backbone whose last layer has no map
        return 0
    write_heat_maps(maps, path)
    return len(maps)


_Opened = tuple[str, str, np.ndarray, tuple[float, float, float, float]]


def _explain(
    model: SavedModel, network: nn.Module, pairs: Sequence[_Opened], device: torch.device
) -> list[StoredHeatMap]:
    classes = model.description.classes
    columns = torch.tensor([classes.index(label) for _, label, _, _ in pairs], device=device)
    images = to_tensor(np.stack([pixels for _, _, pixels, _ in pairs]), device)
    with bind_this_thread():
        heat, _ = find_heat(network, images, columns, several=model.description.task == "multi-label")
    values = heat.cpu().numpy()
    return [
        StoredHeatMap(file, label, seen, values[at] / max(float(values[at].max()), 1e-30))
        for at, (file, label, _, seen) in enumerate(pairs)
        if np.isfinite(values[at]).all()
    ]


def _open(root: Path, file: str, model: SavedModel) -> tuple[np.ndarray, tuple[float, float, float, float]] | None:
    image_spec, ranges = model.description.image_spec, model.description.value_ranges
    assert image_spec is not None
    try:
        image = open_source(source_of(root, file, ranges), enough=shorter_side_for(image_spec))
    except (DistingoError, OSError, ValueError, IndexError):
        return None
    return render(image, image_spec), visible_part(image.width, image.height, image_spec)


def _affordable(network: nn.Module, image_spec: ImageSpec, device: torch.device) -> int:
    """Number of maps within the budget; attention maps need a forward and a backward pass, three times the cost."""
    images = torch.zeros(1, image_spec.channels, image_spec.height, image_spec.width, device=device)
    passes = 3 if attention_layers(network) else 1
    return max(MIN_MAPS, int(OPERATIONS / max(1, passes * _count_operations(network, images))))


def _count_operations(network: nn.Module, images: torch.Tensor) -> int:
    """Count operations of convolutions and dense layers; torch's own counter would load its compiler for seconds."""
    counts: list[int] = []

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        weight = layer.get_parameter("weight")
        counts.append(2 * output.numel() * weight[0].numel())

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.inference_mode(), bind_this_thread():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)
