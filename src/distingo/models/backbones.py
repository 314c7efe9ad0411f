"""Pretrained backbones: their description, which needs no weights, and the module with or without weights.

A backbone takes normalized images: `distingo.models.layers.ChannelNormalization` with the description's mean and std
belongs in front of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from distingo.errors import DistingoError, ModelError, first_line, option
from distingo.models.architectures import create_architecture, import_timm, measure_architecture
from distingo.models.hub import fetch_file, get_file
from distingo.models.presets import PRESETS, BackboneSettings, find_settings, read_settings
from distingo.models.weights import find_weights_file, hash_weights, load_weights
from distingo.records import ImageSpec
from distingo.runs.fields import find_image_spec_fault

_FOLDER, _HUB = "local-dir:", "hf-hub:"

WeightsSource = Literal["hub", "folder", "file", "none"]


@dataclass(frozen=True, slots=True)
class BackboneDescription:
    """Everything that is needed to build a backbone without its weights, and its preprocessing.

    Attributes:
        name: As the user typed it.
        architecture: timm's name of the architecture.
        tag: timm's tag of the pretrained weights; empty if unknown.
        source: Where the weights come from.
        place: The hub's repository, the folder or the file; empty for ``none``.
        arguments: For the architecture's constructor; JSON values.
        features: Width of the pooled output.
        image_spec: Preprocessing of its images.
        mean: Per channel, of pixel values in [0, 1].
        std: Per channel, of pixel values in [0, 1].
        license: License of the weights as named by their publisher; empty if unknown.
        parameters: Number of parameters without the classifier.
        weights_hash: Hash that identifies the loaded weights; empty before loading and without weights.
    """

    name: str
    architecture: str
    tag: str
    source: WeightsSource
    place: str
    arguments: Mapping[str, Any]
    features: int
    image_spec: ImageSpec
    mean: tuple[float, ...]
    std: tuple[float, ...]
    license: str
    parameters: int
    weights_hash: str = ""


def find_backbone(
    name: str, *, weights: str | Path | None = None, image_size: int | tuple[int, int] | None = None
) -> BackboneDescription:
    """Describe a pretrained backbone without loading its weights.

    Args:
        name: A preset (``fast``, ``good``, ``best``); a timm name with or without tag; ``local-dir:FOLDER`` or the
            path of a timm hub folder; ``hf-hub:OWNER/NAME`` (which may have to fetch a configuration).
        weights: Instead of the backbone's own: ``none``, a folder, or a safetensors file. A ``config.json`` next to
            them says what images they want.
        image_size: Side in pixels, or (height, width), instead of the backbone's own.

    Returns:
        The description, with an empty `weights_hash`.

    Raises:
        ModelError: The backbone or folder does not exist, its configuration requests code, or it does not support the
            size.
    """
    settings, source, place = _find_origin(name)
    if weights is not None:
        settings, source, place = _replace_weights(settings, weights)
    _check_there_are_weights(name, settings, source)
    height, width = settings.input_size
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if min(height, width) < 1:
        raise ModelError(
            f"{name}: no pictures of {height}x{width} pixels; give at least 1",
            code="out_of_range",
            parameter="image_size",
        )
    sized = {"img_size": [height, width]} if settings.fixed_size else {}
    image_spec = settings.image_spec(height, width)
    if why := find_image_spec_fault(asdict(image_spec)):
        raise ModelError(
            f"{name}: images of {height}x{width} pixels: {why}; choose another size or backbone",
            code="unsupported_image_size",
            parameter="image_size",
        )
    arguments = json.loads(json.dumps({**settings.arguments, **sized}))
    size = measure_architecture(settings.architecture, arguments, height, width)
    return BackboneDescription(
        name=name,
        architecture=settings.architecture,
        tag=settings.tag,
        source=source,
        place=place,
        arguments=arguments,
        features=size.features,
        image_spec=image_spec,
        mean=settings.mean,
        std=settings.std,
        license=settings.license,
        parameters=size.parameters,
    )


def build_backbone(description: BackboneDescription) -> nn.Module:
    """Build a backbone without its weights, for a saved model's weights to be loaded into. Needs no network.

    Args:
        description: Of the backbone.

    Returns:
        A module from normalized float (n, 3, height, width) to pooled features (n, features), with fresh weights from
        torch's global random state.

    Raises:
        ModelError: This timm can't build the architecture.
    """
    try:
        return create_architecture(description.architecture, description.arguments)
    except DistingoError:
        raise
    except Exception as error:  # an architecture's code may raise any exception for unsupported arguments
        reason, version = first_line(error), import_timm().__version__
        raise ModelError(
            f"{description.architecture}: timm {version} can't build it ({reason}); install another timm",
            code="unsupported_model",
        ) from error


def load_backbone(description: BackboneDescription) -> tuple[nn.Module, BackboneDescription]:
    """Build a backbone with its weights: out of the hub's cache, the hub, a folder or a file; only safetensors.

    Args:
        description: From `find_backbone`.

    Returns:
        The module in evaluation mode, and the description with its `weights_hash`; without weights a fresh module
        and an empty hash.

    Raises:
        ModelError: The weights are unavailable (the message gives a remedy), damaged, or of another architecture.
        ResourceError: The disk is full.
    """
    if description.source == "none":
        return build_backbone(description).eval(), replace(description, weights_hash="")
    settings = _settings_of(description)
    backbone = load_weights(_weights_path(description, settings), settings, description.arguments)
    unsized = {name: value for name, value in description.arguments.items() if name != "img_size"}
    named = hash_weights(backbone, description.architecture, unsized)
    return backbone, replace(description, weights_hash=named)


def fetch_weights(name: str) -> Path:
    """Get a backbone's weights into the hub's cache ahead of time, and its configuration next to them.

    Requests the newest version from the hub even if one is in the cache. An interrupted download is resumed; the size
    and hash of the result are verified.

    Args:
        name: A preset, a timm name with or without tag, or ``hf-hub:OWNER/NAME``.

    Returns:
        The weights file; its folder can be given as ``--weights``.

    Raises:
        ModelError: There is no such backbone, no network, or nothing usable at the other end.
        ResourceError: The disk is full.
    """
    settings, source, place = _find_origin(name)
    if source != "hub":
        raise ModelError(f"{name}: is a folder already; nothing to fetch", code="option_not_applicable")
    _check_there_are_weights(name, settings, source)
    weights = fetch_file(place, settings.weights_file, name=name)
    fetch_file(place, "config.json", name=name)
    return weights


def _find_origin(name: str) -> tuple[BackboneSettings, WeightsSource, str]:
    if name.startswith(_HUB):
        repository = name.removeprefix(_HUB)
        return read_settings(get_file(repository, "config.json", name=name)), "hub", repository
    if name.startswith(_FOLDER) or os.sep in name or "/" in name or (Path(name) / "config.json").is_file():
        folder = Path(name.removeprefix(_FOLDER)).expanduser()
        if not folder.is_dir():
            raise ModelError(
                f"{name}: no such folder; give a timm hub folder, or hf-hub:OWNER/NAME for the hub", code="not_found"
            )
        return read_settings(folder / "config.json"), "folder", str(folder.resolve())
    settings = find_settings(PRESETS[name].backbone if name in PRESETS else name)
    return settings, "hub", settings.repository


def _check_there_are_weights(name: str, settings: BackboneSettings, source: WeightsSource) -> None:
    if source == "hub" and not name.startswith(_HUB) and not settings.has_weights:
        raise ModelError(
            f"timm has no pretrained weights for {name}; give {option('weights')} FOLDER|FILE.safetensors",
            code="no_weights",
            parameter="weights",
        )


def _replace_weights(settings: BackboneSettings, weights: str | Path) -> tuple[BackboneSettings, WeightsSource, str]:
    if str(weights) == "none":
        return settings, "none", ""
    path = Path(weights).expanduser()
    if not path.exists():
        raise ModelError(
            f"{weights}: no such file or folder; give a .safetensors file, a folder that holds one, or none",
            code="not_found",
            parameter="weights",
        )
    source: WeightsSource = "folder" if path.is_dir() else "file"
    stored_settings = _read_settings_next_to(path)
    if stored_settings is not None and stored_settings.architecture != settings.architecture:
        raise ModelError(
            f"{path}: weights of {stored_settings.architecture}, not of {settings.architecture}; name the one they fit",
            code="weights_differ",
            parameter="weights",
        )
    return stored_settings or settings, source, str(path.resolve())


def _read_settings_next_to(path: Path) -> BackboneSettings | None:
    """Read the configuration next to weights, so that preprocessing matches their training."""
    config = (path if path.is_dir() else path.parent) / "config.json"
    return read_settings(config) if config.is_file() else None


def _settings_of(description: BackboneDescription) -> BackboneSettings:
    """Return the pretrained configuration that a description was made from."""
    if description.source == "hub" and description.name.startswith(_HUB):
        return _find_origin(description.name)[0]
    if description.source in {"folder", "file"}:
        stored_settings = _read_settings_next_to(Path(description.place))
        if stored_settings is not None:
            return stored_settings
    return find_settings(f"{description.architecture}.{description.tag}".rstrip("."))


def _weights_path(description: BackboneDescription, settings: BackboneSettings) -> Path:
    if description.source == "hub":
        return get_file(description.place, settings.weights_file, name=description.name)
    path = Path(description.place)
    return find_weights_file(path) if path.is_dir() else path
