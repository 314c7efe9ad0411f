from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import distingo
from distingo.cli import build_parser
from distingo.errors import UsageError
from distingo.options.fields import choose_alias, name_recipe_fields
from distingo.training.request import read_recipe_file
from raising import raises
from tiny_datasets import draw_classes

RECIPE: dict[str, Any] = {"model": "small-cnn", "image_size": 8, "epochs": 1, "batch_size": 16}


def test_fields_get_their_own_names():
    assert name_recipe_fields({"learning_rate": 0.1, "epochs": 3}) == {"lr": 0.1, "epochs": 3}
    assert name_recipe_fields({"normalise": "zca"}) == {"normalize": "zca"}
    assert name_recipe_fields({"lr": 0.1, "normalise": "none"}) == {"lr": 0.1, "normalize": "none"}
    assert name_recipe_fields({"lr": None, "learning_rate": 0.2}) == {"lr": 0.2}


def test_one_option_is_not_given_twice():
    assert (choose_alias("topk", 3, "top_k", None), choose_alias("topk", None, "top_k", 0)) == (3, 0)
    with raises(UsageError, code="options_conflict", parameter="topk"):
        choose_alias("topk", 3, "top_k", 3)
    with raises(UsageError, code="options_conflict", parameter="lr"):
        name_recipe_fields({"learning_rate": 0.2, "lr": 0.1})


def test_a_run_keeps_the_fields_own_names(tmp_path: Path):
    data = draw_classes(tmp_path / "data")
    run = distingo.train(data, tmp_path / "run", learning_rate=0.004, normalise="sample", **RECIPE)
    recipe = json.loads((run.path / "config.json").read_text(encoding="utf-8"))["recipe"]
    assert (recipe["lr"], recipe["normalize"]) == (0.004, "sample")
    assert not {"learning_rate", "normalise"} & set(recipe)
    assert repr(run).startswith(f"Run({str(run.path)!r}, Evaluation(test split, n=")
    assert "\n" not in repr(run)
    html = run._repr_html_()
    assert html.count("<table") == 1
    assert str(run.path) in html


@pytest.mark.parametrize("call", ["train", "crossval", "learning_curve", "tune", "train_several", "demo"])
def test_every_call_with_a_recipe_knows_the_names(call: str, tmp_path: Path):
    given: dict[str, Any] = {} if call == "demo" else {"data": tmp_path}
    given |= {"models": ["small-cnn", "descriptors"]} if call == "train_several" else {}
    with raises(UsageError, code="options_conflict", parameter="normalize"):
        getattr(distingo, call)(**given, output=tmp_path / "out", normalise="zca", normalize="none")


def test_a_recipe_file_may_use_the_names(tmp_path: Path):
    path = tmp_path / "recipe.json"
    path.write_text('{"learning_rate": 0.01, "normalise": "zca"}', encoding="utf-8")
    assert read_recipe_file(path).options == {"lr": 0.01, "normalize": "zca"}
    path.write_text('{"learning_rate": 0.01, "lr": 0.02}', encoding="utf-8")
    with raises(UsageError, code="options_conflict", parameter="lr", naming="recipe.json"):
        read_recipe_file(path)


def test_the_command_line_knows_the_names():
    parser = build_parser()
    options = parser.parse_args(["train", "data", "--learning-rate", "0.5", "--normalise", "zca"])
    assert (options.lr, options.normalize) == (0.5, "zca")
    assert parser.parse_args(["predict", "run", "a.png", "--top-k", "3"]).topk == 3
