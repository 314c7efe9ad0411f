from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.errors import ErrorCode, UsageError
from distingo.training.recipe import Recipe, recipe_from_dict
from raising import raises


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(model="small-cnn", height=28, width=28, channels=1, lr=0.002, dropout=None)
    assert recipe_from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with raises(UsageError, code="unknown_option", parameter="epoch", naming="'epoch'"):
        recipe_from_dict({"model": "small-cnn", "height": 28, "width": 28, "epoch": 3})


def test_a_missing_key_is_named() -> None:
    with raises(UsageError, code="missing_field"):
        recipe_from_dict({"model": "small-cnn", "width": 28})


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("epochs", 0, "out_of_range"),
        ("epochs", 2.5, "invalid_type"),
        ("lr", "fast", "invalid_type"),
        ("lr", float("nan"), "out_of_range"),
        ("optimizer", "lion", "unknown_name"),
        ("channels", 4, "unknown_name"),
        ("dropout", True, "invalid_type"),
        ("loss", "hinge", "unknown_name"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: object, code: ErrorCode) -> None:
    with raises(UsageError, code=code, parameter=field):
        recipe_from_dict({"model": "small-cnn", "height": 28, "width": 28, field: value})


def test_values_that_do_not_go_together_are_refused() -> None:
    size = {"model": "small-cnn", "height": 28, "width": 28}
    with raises(UsageError, code="out_of_range", parameter="validation"):
        recipe_from_dict({**size, "test": 0.9})
    with raises(UsageError, code="options_conflict", parameter="threshold_target"):
        recipe_from_dict({**size, "threshold_aim": "recall"})


@given(st.dictionaries(st.sampled_from(["epochs", "lr", "seed", "dropout", "augment"]), st.text() | st.integers()))
def test_whatever_comes_gives_a_recipe_or_a_usage_error(values: dict[str, object]) -> None:
    try:
        recipe_from_dict({"model": "small-cnn", "height": 28, "width": 28, **values})
    except UsageError as error:
        assert "\n" not in str(error)
