"""What a person gets who asks for nothing, and what makes no sense with one label per picture or with several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distingo.errors import UsageError
from distingo.messages.notes import note
from distingo.training.defaults import DataFacts, choose_recipe

SEVERAL = DataFacts(pictures=3600, height=222, width=150, grey=False, task="multi-label")
ONE = replace(SEVERAL, task="single-label")


def test_poster_cnn_is_trained_as_published() -> None:
    recipe, _ = choose_recipe(SEVERAL, {"model": "poster-cnn"})
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (10, 64, 1e-3)
    assert (recipe.height, recipe.width, recipe.optimizer, recipe.schedule) == (400, 300, "adam", "constant")
    assert recipe.augment == "none"


@pytest.mark.parametrize("model", ["poster-cnn", "small-cnn", "descriptors"])
def test_each_task_is_monitored_by_its_own_score(model: str) -> None:
    assert choose_recipe(SEVERAL, {"model": model})[0].monitor == "validation_mean_average_precision"
    assert choose_recipe(ONE, {"model": model})[0].monitor == "validation_accuracy"
    assert choose_recipe(SEVERAL, {"model": model, "monitor": "validation_loss"})[0].monitor == "validation_loss"


def test_rare_labels_are_not_smoothed_into_common_ones() -> None:
    assert choose_recipe(SEVERAL, {"model": "small-cnn"})[0].label_smoothing == 0.0
    assert choose_recipe(ONE, {"model": "small-cnn"})[0].label_smoothing == 0.1


@pytest.mark.parametrize(
    ("facts", "wishes", "words"),
    [
        (SEVERAL, {"model": "majority"}, "choose prevalence"),
        (ONE, {"model": "prevalence"}, "choose majority"),
        (SEVERAL, {"monitor": "validation_accuracy"}, "choose validation_mean_average_precision"),
        (ONE, {"monitor": "validation_mean_average_precision"}, "choose validation_accuracy"),
        (SEVERAL, {"class_weights": "balanced"}, "choose --positive-weights"),
        (ONE, {"positive_weights": "balanced"}, "choose --class-weights"),
        (ONE, {"threshold_aim": "recall", "threshold_wanted": 0.9}, "no thresholds"),
        (ONE, {"loss": "asymmetric"}, "does not suit one label"),
        (SEVERAL, {"loss": "cross-entropy"}, "does not suit several labels"),
        (SEVERAL, {"loss": "focal", "model": "descriptors"}, "not trained by steps"),
        (SEVERAL, {"threshold_aim": "precision"}, r"precision and recall want one"),
        (SEVERAL, {"threshold_wanted": 0.5}, "f1 wants no number"),
        (ONE, {"head": "knn"}, "--head knn: small-cnn is not pretrained; name a backbone, or leave --head out"),
        (ONE, {"height": 0, "width": 8}, "--image-size is 0; it must lie between 1 and 8,192"),
        (ONE, {"mode": "frozen"}, "--mode frozen: small-cnn is not pretrained"),
        (ONE, {"layer_decay": 0.5, "model": "descriptors"}, "--layer-decay 0.5: descriptors is not pretrained"),
        (ONE, {"batch_size": 0}, "--batch-size is 0; it must lie between 1 and 1,000,000"),
        (SEVERAL, {"threshold_aim": "recall", "threshold_wanted": 1.5}, "between 0.001 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(facts: DataFacts, wishes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_recipe(facts, {"model": "small-cnn", **wishes})


def test_what_a_model_has_no_use_for_is_said() -> None:
    wishes = {"model": "descriptors", "epochs": 30, "lr": 0.1, "seed": 3, "schedule": "constant"}
    _, choices = choose_recipe(ONE, wishes)
    assert note("options-not-used", options=("--epochs", "--lr"), model="descriptors") in choices
    _, choices = choose_recipe(ONE, {"model": "descriptors", "seed": 3})
    assert not any(choice.code.startswith("options-not-used") for choice in choices)


def test_values_that_a_repeated_recipe_carries_along_are_no_wishes() -> None:
    recipe, _ = choose_recipe(ONE, {"model": "small-cnn"})
    repeated, choices = choose_recipe(ONE, recipe.as_dict())
    assert repeated == recipe
    assert not any(choice.code.startswith("options-not-used") for choice in choices)
    recipe, _ = choose_recipe(ONE, {"model": "descriptors"})
    assert choose_recipe(ONE, recipe.as_dict())[1] == ()
