"""Several models on one data set: which run each of them gets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from distingo.errors import UsageError
from distingo.models.catalogue import find_model
from distingo.training.recipe import OF_BACKBONES, Mode


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
            raise UsageError(f"--model {folder}: named {times} times; name each model once")
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
