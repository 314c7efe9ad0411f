from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.errors import UsageError
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
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs is 0; it must lie between 1"),
        ("epochs", 2.5, "epochs is 2.5; it must be a whole number"),
        ("lr", "fast", "lr is 'fast'; it must be a number"),
        ("lr", float("nan"), "lr is nan"),
        ("optimizer", "lion", "optimizer is 'lion'; choose one of adam, adamw, sgd"),
        ("channels", 4, "channels is 4; choose one of 1, 3"),
        ("dropout", True, "dropout is True"),
        ("test", 0.9, "leave nothing to train on"),
        (
            "loss",
            "hinge",
            "loss is 'hinge'; choose one of auto, cross-entropy, binary-cross-entropy, asymmetric, focal",
        ),
        ("threshold_aim", "recall", "precision and recall want one"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe_from_dict({"model": "small-cnn", "height": 28, "width": 28, field: value})


@given(st.dictionaries(st.sampled_from(["epochs", "lr", "seed", "dropout", "augment"]), st.text() | st.integers()))
def test_whatever_comes_gives_a_recipe_or_a_usage_error(values: dict[str, object]) -> None:
    try:
        recipe_from_dict({"model": "small-cnn", "height": 28, "width": 28, **values})
    except UsageError as error:
        assert "\n" not in str(error)
