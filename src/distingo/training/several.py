"""Several models on one data set: which run each of them gets.

The model that a recipe describes, before it is trained.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from distingo.errors import UsageError, option
from distingo.models.catalogue import find_model
from distingo.models.saved import ModelDescription
from distingo.records import Dataset, Rendition, Split
from distingo.training.pretrained import LoadedBackbone
from distingo.training.recipe import OF_BACKBONES, Mode, Recipe
from distingo.training.run_config import describe_provenance


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of several.

    Attributes:
        folder: Its name inside the folder of all.
        options: For `distingo.train`.
    """

    folder: str
    options: dict[str, Any]


def plan_runs(models: Sequence[str], options: dict[str, Any]) -> tuple[PlannedRun, ...]:
    """Give each model a run folder and the options that concern it.

    Args:
        models: Names, each perhaps followed by ``:`` and a mode.
        options: Common to all; those about pretrained backbones go to the backbones only.

    Raises:
        UsageError: The same model is named twice.
    """
    plans = [_plan(model, options) for model in models]
    for folder, times in Counter(plan.folder for plan in plans).items():
        if times > 1:
            raise UsageError(
                f"{option('model')} {folder}: named {times} times; name each model once",
                code="named_twice",
                parameter="models",
            )
    return tuple(plans)


def _plan(model: str, options: dict[str, Any]) -> PlannedRun:
    name, mode = split_mode(model)
    folder = re.sub(r"[^\w.-]+", "-", Path(name.removeprefix("local-dir:")).name).strip("-.") or "model"
    if find_model(name).kind != "pretrained":
        return PlannedRun(folder, {k: v for k, v in options.items() if k not in OF_BACKBONES} | {"model": name})
    wishes = {**options, "model": name} | ({"mode": mode} if mode else {})
    return PlannedRun(f"{folder}-{mode}" if mode else folder, wishes)


def split_mode(model: str) -> tuple[str, str]:
    """``NAME:frozen`` to the name and the mode, which is empty where none is given."""
    name, colon, mode = model.rpartition(":")
    return (name, mode) if colon and mode in get_args(Mode) else (model, "")


def rendition_of(recipe: Recipe, backbone: LoadedBackbone | None) -> Rendition | None:
    """The pictures that a network is to see; None for a classic model."""
    if backbone is not None:
        return backbone.description.rendition
    if find_model(recipe.model).kind == "classic":
        return None
    return Rendition(height=recipe.height, width=recipe.width, channels=recipe.channels)


def describe_model(dataset: Dataset, split: Split, recipe: Recipe, backbone: LoadedBackbone | None) -> ModelDescription:
    """What is known of a model before it is trained."""
    return ModelDescription(
        name=recipe.model,
        kind=find_model(recipe.model).kind,
        task=dataset.task,
        classes=dataset.classes,
        rendition=rendition_of(recipe, backbone),
        backbone=backbone.description if backbone else None,
        head=recipe.head if backbone else "",
        mode=recipe.mode,
        engine=recipe.engine,
        precision=recipe.precision,
        normalise=recipe.normalise,
        dropout=recipe.dropout,
        provenance=describe_provenance(dataset, split, recipe),
        value_ranges=dataset.value_ranges,
    )
