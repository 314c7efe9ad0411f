from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.recipe import Recipe
from distingo.tuning.records import LogRange, Options
from distingo.tuning.study import SCRATCH_SPACE, SPACES, default_values, narrow

FACTS = DataFacts(pictures=1000, height=300, width=400, grey=False)


def scratch(facts: DataFacts = FACTS, **wishes: Any) -> Recipe:
    return choose_recipe(facts, {"model": "small-cnn", **wishes})[0]


def names(recipe: Recipe, **more: Any) -> set[str]:
    settings = {"wished": (), "task": "single-label", "train": 600, **more}
    return {dimension.name for dimension in narrow(SCRATCH_SPACE, recipe, **settings).dimensions}


def test_every_dimension_is_a_recipe_field() -> None:
    known = {field.name for field in fields(Recipe)} | {"image_size"}
    for space in SPACES.values():
        assert {dimension.name for dimension in space.dimensions} <= known


def test_the_default_lies_inside() -> None:
    recipe = scratch(augment="reference", lr=0.3)
    space = narrow(SCRATCH_SPACE, recipe, wished=(), task="single-label", train=600)
    for dimension in space.dimensions:
        default = default_values(space, recipe)[dimension.name]
        if isinstance(dimension, LogRange):
            assert dimension.low < default < dimension.high  # type: ignore[operator]
        else:
            assert default in dimension.values


def test_what_the_person_wishes_is_not_searched() -> None:
    assert not names(scratch(), wished={"lr", "image_size"}) & {"lr", "image_size"}


@pytest.mark.parametrize(
    ("task", "kept", "left_out"),
    [
        ("single-label", "class_weights", "positive_weights"),
        ("multi-label", "positive_weights", "class_weights"),
    ],
)
def test_only_what_the_task_knows_is_searched(task: str, kept: str, left_out: str) -> None:
    found = names(scratch(), task=task)
    assert kept in found
    assert left_out not in found


def test_small_pictures_are_seen_as_they_are() -> None:
    small = DataFacts(pictures=1000, height=28, width=28, grey=True)
    assert "image_size" in names(scratch())
    assert "image_size" not in names(scratch(small))
    assert "image_size" not in names(choose_recipe(FACTS, {"model": "sports-cnn"})[0])


def test_no_batch_is_larger_than_a_quarter_of_the_pictures() -> None:
    space = narrow(SCRATCH_SPACE, scratch(), wished=(), task="single-label", train=200)
    sizes = next(entry for entry in space.dimensions if entry.name == "batch_size")
    assert isinstance(sizes, Options)
    assert sizes.values == (16, 32)
    assert "batch_size" not in names(scratch(), train=60)
