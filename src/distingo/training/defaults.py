"""Which model and which recipe a person gets who asks for nothing, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distingo.errors import UsageError
from distingo.models.catalogue import find_model
from distingo.training.recipe import Recipe, recipe_from_dict

_LARGEST_OWN_SIZE = 64
"""Pictures up to this size are trained on as they are; larger ones at `_PHOTO_SIZE`."""

_PHOTO_SIZE = 128

_RECIPES: dict[str, dict[str, Any]] = {
    "sports-cnn": {"epochs": 20, "batch_size": 32, "lr": 1e-3, "augment": "reference", "schedule": "cosine"},
    "fashion-cnn": {"epochs": 10, "batch_size": 64, "lr": 1e-3, "schedule": "cosine"},
    "poster-cnn": {"epochs": 10, "batch_size": 64, "lr": 1e-3},
    "descriptors": {"epochs": 1},
    "majority": {"epochs": 1},
}
"""Per model, what differs from the recipe's own defaults. The networks' layers are the published ones; the learning
rate is not: the published 1e-6 made 500 epochs do the work of ten."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a recipe's defaults depend on.

    Attributes:
        pictures: How many there are.
        height: The median, in pixels.
        width: The median, in pixels.
        grey: Whether all are grey.
    """

    pictures: int
    height: int
    width: int
    grey: bool


def choose_recipe(facts: DataFacts, wishes: dict[str, Any]) -> tuple[Recipe, tuple[str, ...]]:
    """Fill a person's wishes up to a whole recipe.

    Args:
        facts: About the pictures.
        wishes: Recipe fields a person set; also ``image_size``, a number or (height, width).

    Returns:
        The recipe, and a sentence for each choice that was made for the person.

    Raises:
        ModelError: There is no such model.
        UsageError: A wish is out of range.
    """
    wishes = dict(wishes)
    choices: list[str] = []
    if "model" not in wishes:
        wishes["model"] = "small-cnn"
        choices.append(
            "model: small-cnn, because no --model was given and it is the best network here that needs no download"
        )
    entry = find_model(wishes["model"])
    size = wishes.pop("image_size", None)
    if size is not None:
        wishes["height"], wishes["width"] = _as_size(size)
    elif "height" not in wishes:
        wishes["height"], wishes["width"] = entry.image_size or _own_size(facts)
        source = "published with it" if entry.image_size else f"the median picture is {facts.width}x{facts.height}"
        choices.append(f"image size: {wishes['height']}x{wishes['width']} (height x width), because {source}")
    if "channels" not in wishes:
        wishes["channels"] = 1 if facts.grey else 3
        choices.append(
            "channels: " + ("1, because all pictures are grey" if facts.grey else "3, because there is colour")
        )
    return recipe_from_dict({**_defaults(entry.name, facts), **wishes}), tuple(choices)


def _as_size(size: object) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(side, int) for side in size):
        return size[0], size[1]
    raise UsageError(f"--image-size {size!r}: give one number, or height and width as in 400x300")


def _own_size(facts: DataFacts) -> tuple[int, int]:
    if max(facts.height, facts.width) <= _LARGEST_OWN_SIZE:
        return facts.height, facts.width
    return _PHOTO_SIZE, _PHOTO_SIZE


def _defaults(model: str, facts: DataFacts) -> dict[str, Any]:
    if model == "small-cnn":
        return _small_cnn_defaults(facts)
    return dict(_RECIPES[model])


def _small_cnn_defaults(facts: DataFacts) -> dict[str, Any]:
    """Few pictures are seen more often."""
    many = facts.pictures >= 20_000
    return {
        "epochs": max(24, min(200, round(400_000 / facts.pictures))),
        "batch_size": 128 if many else 32,
        "lr": 4e-3 if many else 2e-3,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "schedule": "one-cycle",
        "label_smoothing": 0.1,
        "augment": "standard",
        "normalise": "dataset",
        "ema_decay": 0.998 if many else 0.99,
    }
