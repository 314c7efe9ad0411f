from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import distingo
from distingo.errors import ErrorCode, RunError, UsageError
from distingo.messages.notes import note
from distingo.training.defaults import DataFacts, choose_recipe, plan_runs, split_mode
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes

SEVERAL = DataFacts(images=3600, height=222, width=150, gray=False, task="multi-label")


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
    ("facts", "options", "code", "parameter"),
    [
        (SEVERAL, {"model": "majority"}, "option_not_applicable", "model"),
        (ONE, {"model": "prevalence"}, "option_not_applicable", "model"),
        (SEVERAL, {"monitor": "validation_accuracy"}, "option_not_applicable", "monitor"),
        (ONE, {"monitor": "validation_mean_average_precision"}, "option_not_applicable", "monitor"),
        (SEVERAL, {"class_weights": "balanced"}, "option_not_applicable", "class_weights"),
        (ONE, {"positive_weights": "balanced"}, "option_not_applicable", "positive_weights"),
        (ONE, {"threshold_aim": "recall", "threshold_target": 0.9}, "option_not_applicable", "threshold_aim"),
        (ONE, {"loss": "asymmetric"}, "option_not_applicable", "loss"),
        (SEVERAL, {"loss": "cross-entropy"}, "option_not_applicable", "loss"),
        (SEVERAL, {"loss": "focal", "model": "descriptors"}, "option_not_applicable", "loss"),
        (SEVERAL, {"threshold_aim": "precision"}, "options_conflict", "threshold_target"),
        (SEVERAL, {"threshold_target": 0.5}, "options_conflict", "threshold_target"),
        (ONE, {"head": "knn"}, "option_not_applicable", "head"),
        (ONE, {"height": 0, "width": 8}, "out_of_range", "height"),
        (ONE, {"mode": "frozen"}, "option_not_applicable", "mode"),
        (ONE, {"layer_decay": 0.5, "model": "descriptors"}, "option_not_applicable", "layer_decay"),
        (ONE, {"batch_size": 0}, "out_of_range", "batch_size"),
        (SEVERAL, {"threshold_aim": "recall", "threshold_target": 1.5}, "out_of_range", "threshold_target"),
    ],
)
def test_what_makes_no_sense_is_refused(
    facts: DataFacts, options: dict[str, Any], code: ErrorCode, parameter: str
) -> None:
    with raises(UsageError, code=code, parameter=parameter):
        choose_recipe(facts, {"model": "small-cnn", **options})


def test_what_a_model_has_no_use_for_is_said() -> None:
    options = {"model": "descriptors", "epochs": 30, "lr": 0.1, "seed": 3, "schedule": "constant"}
    _, choices = choose_recipe(ONE, options)
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


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("small-cnn", ("small-cnn", "")),
        ("vgg16:finetune", ("vgg16", "finetune")),
        ("local-dir:weights/tiny", ("local-dir:weights/tiny", "")),
        ("local-dir:weights/tiny:frozen", ("local-dir:weights/tiny", "frozen")),
    ],
)
def test_a_mode_may_follow_the_name(model: str, parts: tuple[str, str]) -> None:
    assert split_mode(model) == parts


def test_options_about_backbones_go_to_backbones_only() -> None:
    small, backbone = plan_runs(["small-cnn", "vgg16:finetune"], {"seed": 3, "head": "linear", "mode": "frozen"})
    assert (small.folder, small.options) == ("small-cnn", {"seed": 3, "model": "small-cnn"})
    assert backbone.folder == "vgg16-finetune"
    assert backbone.options == {"seed": 3, "head": "linear", "mode": "finetune", "model": "vgg16"}


def test_the_same_model_twice_is_refused() -> None:
    with raises(UsageError, code="named_twice", parameter="models"):
        plan_runs(["vgg16", "vgg16"], {})


def test_several_models_share_a_split_and_a_page(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "colours", per_class=20, size=40)
    backbone = write_backbone(tmp_path / "tiny")
    models = ["descriptors", f"{backbone}:frozen", f"{backbone}:finetune"]
    options = {"models": models, "engine": "torch", "epochs": 1, "batch_size": 8}
    compared = distingo.train_several(data, tmp_path / "runs", **options)
    assert (tmp_path / "runs" / "comparison.html").is_file()
    assert compared.n == 12
    folders = ["descriptors", "tiny-frozen", "tiny-finetune"]
    splits = {(tmp_path / "runs" / name / "split.csv").read_bytes() for name in folders}
    assert len(splits) == 1
    comparison = json.loads((tmp_path / "runs" / "comparison.json").read_text())
    assert {run["name"] for run in comparison["runs"]} == set(folders)
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.train_several(data, tmp_path / "runs", **options)
    before = (tmp_path / "runs" / "tiny-finetune" / "model" / "model.safetensors").read_bytes()
    distingo.train_several(data, tmp_path / "runs", resume=True, models=models)
    assert (tmp_path / "runs" / "tiny-finetune" / "model" / "model.safetensors").read_bytes() == before
