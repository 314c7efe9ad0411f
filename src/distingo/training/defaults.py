"""Default model and recipe for a data set, with the reason for each choice; options of runs that compare models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from distingo.errors import UsageError, option
from distingo.messages.notes import Note, note
from distingo.models.backbones import BackboneDescription
from distingo.models.catalog import find_model
from distingo.records import Task
from distingo.runs.fields import Plain
from distingo.training.losses import build_loss
from distingo.training.recipe import OF_BACKBONES, OF_STEPS, Mode, Recipe, recipe_from_dict

_LARGEST_OWN_SIZE = 64
"""Images up to this size keep their size in training; larger ones are resized to `_PHOTO_SIZE`."""

_PHOTO_SIZE = 128

FINE_TUNED_HEADS = ("linear", "linear-svm")
"""The other heads store images instead of learning weights."""

_RECIPES: dict[str, dict[str, Plain]] = {
    "sports-cnn": {"epochs": 20, "batch_size": 32, "lr": 1e-3, "augment": "reference", "schedule": "cosine"},
    "fashion-cnn": {"epochs": 10, "batch_size": 64, "lr": 1e-3, "schedule": "cosine"},
    "poster-cnn": {"epochs": 10, "batch_size": 64, "lr": 1e-3},
    "descriptors": {"epochs": 1},
    "majority": {"epochs": 1},
    "prevalence": {"epochs": 1},
}
"""For each model, the values that differ from the recipe's defaults. The networks' layers are as published, but not the
learning rate: with the published 1e-6, 500 epochs achieved as much as ten epochs do here."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Facts about a data set that a recipe's defaults depend on.

    Attributes:
        images: Number of images.
        height: Median height in pixels.
        width: Median width in pixels.
        gray: Whether all images are gray.
        task: Single-label or multi-label.
    """

    images: int
    height: int
    width: int
    gray: bool
    task: Task = "single-label"


def choose_recipe(
    facts: DataFacts, options: Mapping[str, Any], backbone: BackboneDescription | None = None
) -> tuple[Recipe, tuple[Note, ...]]:
    """Complete the requested options to a full recipe.

    Args:
        facts: Facts about the images.
        options: Recipe fields that the user set, including ``model``, and ``image_size``: an integer or (height,
            width).
        backbone: Description of the backbone at the requested image size, for a pretrained model.

    Returns:
        The recipe, and a note for each choice that was made for the user.

    Raises:
        ModelError: There is no such model.
        UsageError: An option is out of range or does not apply to the task.
    """
    recipe, choices = _fill_up(facts, dict(options), backbone)
    require_task(recipe, facts.task)
    return recipe, choices


def _fill_up(
    facts: DataFacts, options: dict[str, Any], backbone: BackboneDescription | None
) -> tuple[Recipe, tuple[Note, ...]]:
    model_entry = find_model(options["model"])
    if backbone is not None:
        return _pretrained_recipe(facts, options, backbone)
    _refuse_backbone_options(model_entry.name, options)
    choices = (
        _not_used(model_entry.name, options, _defaults(model_entry.name, facts))
        if model_entry.kind == "classic"
        else []
    )
    size = options.pop("image_size", None)
    if size is not None:
        options["height"], options["width"] = as_size(size)
    elif not {"height", "width"} & options.keys():
        options["height"], options["width"] = model_entry.image_size or _own_size(facts)
        median = note("median-image", size=f"{facts.width}x{facts.height}")
        size_reason = note("published") if model_entry.image_size else median
        choices.append(note("image-size", size=f"{options['height']}x{options['width']}", said=size_reason))
    if "channels" not in options:
        options["channels"] = 1 if facts.gray else 3
        choices.append(note("gray-channels" if facts.gray else "color-channels"))
    return recipe_from_dict({**_defaults(model_entry.name, facts), **options}), tuple(choices)


def _refuse_backbone_options(model: str, options: Mapping[str, Any]) -> None:
    for name in OF_BACKBONES:
        if options.get(name, _plain_value(name)) != _plain_value(name):
            opt_name = option(name)
            raise UsageError(
                f"{opt_name} {options[name]}: {model} is not pretrained; name a backbone, or leave {opt_name} out",
                code="option_not_applicable",
                parameter=name,
            )


def _not_used(model: str | None, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[Note]:
    """Report options without effect on a model that is not trained by steps; None means a frozen backbone."""
    differing = [
        name for name in OF_STEPS if name in options and options[name] != defaults.get(name, _plain_value(name))
    ]
    if not differing:
        return []
    return [describe_unused([f"--{name.replace('_', '-')}" for name in differing], model)]


def describe_unused(options: Sequence[str], model: str | None) -> Note:
    """Return a note on options that a model does not use; ``model=None`` means a frozen backbone."""
    if model is None:
        return note("options-not-used-frozen", options=tuple(options))
    return note("options-not-used", options=tuple(options), model=model)


def _plain_value(name: str) -> Any:
    return next(field.default for field in fields(Recipe) if field.name == name)


def require_task(recipe: Recipe, task: Task) -> None:
    """Raise an error for choices that do not apply to the task.

    Raises:
        UsageError: A choice does not apply; the message names an alternative.
    """
    is_multi_label = task == "multi-label"
    phrase = "with several labels per picture" if is_multi_label else "with one label per picture"
    if recipe.model == ("majority" if is_multi_label else "prevalence"):
        other = "prevalence" if is_multi_label else "majority"
        raise UsageError(
            f"{option('model')} {recipe.model}: makes no sense {phrase}; choose {other}",
            code="option_not_applicable",
            parameter="model",
        )
    unsuitable = "validation_accuracy" if is_multi_label else "validation_mean_average_precision"
    if recipe.monitor == unsuitable:
        raise UsageError(
            f"{option('monitor')} {unsuitable}: is not measured {phrase}; choose {_monitor(task)} or validation_loss",
            code="option_not_applicable",
            parameter="monitor",
        )
    if is_multi_label and recipe.class_weights != "none":
        raise UsageError(
            f"{option('class_weights')} {recipe.class_weights}: not {phrase}; choose {option('positive_weights')}",
            code="option_not_applicable",
            parameter="class_weights",
        )
    if not is_multi_label and recipe.positive_weights != "none":
        raise UsageError(
            f"{option('positive_weights')} {recipe.positive_weights}: not {phrase}; choose {option('class_weights')}",
            code="option_not_applicable",
            parameter="positive_weights",
        )
    if not is_multi_label and recipe.threshold_aim != "f1":
        raise UsageError(
            f"{option('threshold_aim')} {recipe.threshold_aim}: there are no thresholds {phrase}",
            code="option_not_applicable",
            parameter="threshold_aim",
        )
    build_loss(recipe.loss, task)
    is_solved = recipe.mode == "frozen" or find_model(recipe.model).kind == "classic"
    if recipe.loss != "auto" and is_solved:
        raise UsageError(
            f"{option('loss')} {recipe.loss}: {recipe.model} is not trained by steps here; leave the option out",
            code="option_not_applicable",
            parameter="loss",
        )


def _monitor(task: Task) -> str:
    return "validation_mean_average_precision" if task == "multi-label" else "validation_accuracy"


def _pretrained_recipe(
    facts: DataFacts, options: dict[str, Any], backbone: BackboneDescription
) -> tuple[Recipe, tuple[Note, ...]]:
    options.pop("image_size", None)
    image_spec = backbone.image_spec
    options |= {"height": image_spec.height, "width": image_spec.width, "channels": image_spec.channels}
    if options.get("normalize", "none") != "none":
        raise UsageError(
            f"{option('normalize')} {options['normalize']}: {backbone.name} brings its own; leave the option out",
            code="option_not_applicable",
            parameter="normalize",
        )
    mode = options.setdefault("mode", "frozen" if backbone.source != "none" else "scratch")
    if backbone.source == "none" and mode != "scratch":
        raise UsageError(
            f"{option('weights', 'none')} with {option('mode')} {mode}: untrained weights have nothing to tell; leave "
            "one out",
            code="options_conflict",
            parameter="weights",
        )
    if mode == "finetune" and options.get("head", "linear") not in FINE_TUNED_HEADS:
        raise UsageError(
            f"{option('head')} {options['head']} can't be fine-tuned; choose {' or '.join(FINE_TUNED_HEADS)}",
            code="options_conflict",
            parameter="head",
        )
    source = backbone.place if backbone.source != "hub" else f"{backbone.architecture}.{backbone.tag}"
    weights = note(
        "pretrained-weights",
        source=source or "none",
        license=backbone.license or "unknown",
        size=f"{image_spec.height}x{image_spec.width}",
    )
    defaults = {"monitor": _monitor(facts.task), **_pretrained_defaults(mode, facts)}
    unused = _not_used(None, options, defaults) if mode == "frozen" else []
    return recipe_from_dict({**defaults, **options}), (weights, *unused)


def _pretrained_defaults(mode: str, facts: DataFacts) -> dict[str, Plain]:
    if mode == "frozen":
        return {"epochs": 1}
    if mode == "scratch":
        return {**_small_cnn_defaults(facts), "normalize": "none"}
    return {
        "epochs": max(3, min(20, round(15_000 / facts.images))),
        "batch_size": 32,
        "lr": 1e-3,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "label_smoothing": _smoothing(facts),
        "augment": "light",
        "ema_decay": 0.99,
        "layer_decay": 0.85,
    }


def _smoothing(facts: DataFacts) -> float:
    """Return no smoothing for multi-label: it would make a label of 1 % of the images seem five times as frequent."""
    return 0.0 if facts.task == "multi-label" else 0.1


def as_size(size: object) -> tuple[int, int]:
    """Convert a user's ``image_size`` to (height, width).

    Raises:
        UsageError: The value is neither one integer nor two.
    """
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(length, int) for length in size):
        return size[0], size[1]
    raise UsageError(
        f"{option('image_size')} {size!r}: give one number, or height and width as in 400x300",
        code="invalid_value",
        parameter="image_size",
    )


def _own_size(facts: DataFacts) -> tuple[int, int]:
    if max(facts.height, facts.width) <= _LARGEST_OWN_SIZE:
        return facts.height, facts.width
    return _PHOTO_SIZE, _PHOTO_SIZE


def _defaults(model: str, facts: DataFacts) -> dict[str, Plain]:
    own = _small_cnn_defaults(facts) if model == "small-cnn" else _RECIPES[model]
    return {"monitor": _monitor(facts.task), **own}


def _small_cnn_defaults(facts: DataFacts) -> dict[str, Plain]:
    """Return defaults for small-cnn, with more epochs for small data sets."""
    is_large = facts.images >= 20_000
    return {
        "epochs": max(40, min(200, round(400_000 / facts.images))),
        "batch_size": 128 if is_large else 32,
        "lr": 4e-3 if is_large else 2e-3,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "schedule": "one-cycle",
        "label_smoothing": _smoothing(facts),
        "augment": "standard",
        "normalize": "dataset",
        "ema_decay": 0.998 if is_large else 0.99,
    }


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One of several planned runs.

    Attributes:
        folder: Name of the run folder inside the common folder.
        options: Options for `distingo.train`.
    """

    folder: str
    options: dict[str, Any]


def plan_runs(models: Sequence[str], options: Mapping[str, Any]) -> tuple[PlannedRun, ...]:
    """Assign a run folder and the applicable options to each model.

    Args:
        models: Model names, each optionally followed by ``:`` and a mode.
        options: Options for all models; those for pretrained backbones are passed to backbones only.

    Raises:
        UsageError: A model is named twice.
    """
    plans = [_plan(model, options) for model in models]
    for folder, count in Counter(plan.folder for plan in plans).items():
        if count > 1:
            raise UsageError(
                f"{option('model')} {folder}: named {count} times; name each model once",
                code="named_twice",
                parameter="models",
            )
    return tuple(plans)


def _plan(model: str, options: Mapping[str, Any]) -> PlannedRun:
    name, mode = split_mode(model)
    folder = re.sub(r"[^\w.-]+", "-", Path(name.removeprefix("local-dir:")).name).strip("-.") or "model"
    if find_model(name).kind != "pretrained":
        return PlannedRun(folder, {k: v for k, v in options.items() if k not in OF_BACKBONES} | {"model": name})
    requested = {**options, "model": name} | ({"mode": mode} if mode else {})
    return PlannedRun(f"{folder}-{mode}" if mode else folder, requested)


def split_mode(model: str) -> tuple[str, str]:
    """Split ``NAME:frozen`` into name and mode; the mode is empty if it is not specified."""
    name, colon, mode = model.rpartition(":")
    return (name, mode) if colon and mode in get_args(Mode) else (model, "")
