"""The pretrained backbones that timm knows, with size, input and license."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from distingo.datasets.cache.store import Cache
from distingo.errors import DistingoError, ModelError, name_the_nearest
from distingo.files import parse_json, write_json
from distingo.models.architectures import import_timm
from distingo.models.presets import PRESETS
from distingo.progress import progress_bar

_SAVED_AFTER = 50


@dataclass(frozen=True, slots=True)
class ListedBackbone:
    """One pretrained backbone.

    Attributes:
        name: timm's name with tag.
        preset: The preset that names it, or empty.
        parameters: Number of parameters without the classifier; None if it can't be built.
        height: Of the images it wants, in pixels.
        width: Of the images it wants, in pixels.
        licence: License of the weights as named by their publisher; empty if unknown.
    """

    name: str
    preset: str
    parameters: int | None
    height: int
    width: int
    licence: str


def list_backbones(pattern: str = "*", *, cache: Cache | None = None) -> tuple[ListedBackbone, ...]:
    """List the pretrained backbones that timm knows.

    Parameters are counted by building an architecture without memory for its values, about 0.2 s each. distingo comes
    with the counts of one timm version; what a newer timm adds is counted once and kept in the cache.

    Args:
        pattern: With ``*`` and ``?``, a whole name, or a part of one; or a preset.
        cache: Keeps counts; None takes the user's.

    Returns:
        Sorted by name.

    Raises:
        ModelError: Nothing matches the pattern; the message suggests the closest names.
    """
    models = import_timm().models
    names: list[str] = sorted(models.list_pretrained())
    wanted = PRESETS[pattern].backbone if pattern in PRESETS else pattern
    glob = wanted if wanted in names or set(wanted) & set("*?[") else f"*{wanted}*"
    chosen = [name for name in names if fnmatchcase(name, glob)]
    if not chosen:
        advice = name_the_nearest(
            pattern.partition(".")[0],
            list(dict.fromkeys(name.partition(".")[0] for name in names)),
            otherwise="a pattern without * is looked for inside names",
        )
        raise ModelError(
            f"no pretrained backbone is called {pattern!r}; {advice}", code="unknown_name", parameter="pattern"
        )
    configurations = {name: models.get_pretrained_cfg(name) for name in chosen}
    counts = _count({key_of(name, configurations[name]): configurations[name] for name in chosen}, cache or Cache())
    presets = {preset.backbone: preset.name for preset in PRESETS.values()}
    return tuple(
        ListedBackbone(
            name=name,
            preset=presets.get(name, ""),
            parameters=counts.get(key_of(name, configuration)),
            height=int(configuration.input_size[1]),
            width=int(configuration.input_size[2]),
            licence=configuration.license or "",
        )
        for name, configuration in configurations.items()
    )


def key_of(name: str, configuration: Any) -> str:
    """Return the key of a parameter count: the architecture, and the size if it is fixed at creation."""
    architecture = name.partition(".")[0]
    _, height, width = configuration.input_size
    return f"{architecture}@{height}x{width}" if configuration.fixed_input_size else architecture


def _count(configurations: Mapping[str, Any], cache: Cache) -> dict[str, int | None]:
    counts = {**read_shipped_counts(), **_read_kept(cache)}
    missing = [key for key in configurations if key not in counts]
    if not missing:
        return counts
    kept: dict[str, int | None] = {}
    with progress_bar("counting parameters", len(missing)) as advance:
        for number, key in enumerate(missing, start=1):
            kept[key] = counts[key] = count_by_key(key)
            advance(1, key)
            if number % _SAVED_AFTER == 0 or number == len(missing):
                _keep(cache, {**_read_kept(cache), **kept})
    return counts


def count_by_key(key: str) -> int | None:
    """Count an architecture's parameters; returns None if this machine can't build it.

    Args:
        key: ``ARCHITECTURE`` or ``ARCHITECTURE@HEIGHTxWIDTH``.
    """
    from distingo.models.architectures import count_parameters

    architecture, _, size = key.partition("@")
    arguments = {"img_size": [int(side) for side in size.split("x")]} if size else {}
    try:
        return count_parameters(architecture, arguments)
    except (RuntimeError, TypeError, ValueError, AssertionError, ImportError):
        return None


def read_shipped_counts() -> dict[str, int | None]:
    """The counts that come with distingo; ``benchmarks/count_backbones.py`` makes them."""
    text = resources.files("distingo.models").joinpath("backbone_parameters.json").read_text(encoding="utf-8")
    return dict(parse_json(text)["parameters"])


def _read_kept(cache: Cache) -> dict[str, int | None]:
    try:
        content = parse_json((cache.folder / "backbone-parameters.json").read_text(encoding="utf-8"))
        return dict(content["parameters"]) if content["timm"] == import_timm().__version__ else {}
    except (OSError, ValueError, KeyError, TypeError):  # unusable cache: count again
        return {}


def _keep(cache: Cache, counts: dict[str, int | None]) -> None:
    with contextlib.suppress(DistingoError, OSError):  # failing to write the cache only costs time
        write_json(cache.folder / "backbone-parameters.json", {"timm": import_timm().__version__, "parameters": counts})
