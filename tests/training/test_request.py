from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import distingo
from distingo.errors import DataError, ErrorCode, UsageError
from distingo.files import content_hash
from distingo.training.request import read_recipe_file
from raising import raises
from tiny_datasets import draw_classes

RECIPE = {"model": "small-cnn", "height": 8, "width": 8, "epochs": 1, "batch_size": 16, "augment": "light"}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def config_of(run: distingo.Run) -> dict[str, Any]:
    return dict(json.loads((run.path / "config.json").read_text()))


def test_fields_of_the_file_are_wishes_and_options_win(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    file = write(tmp_path / "recipe.json", {"format": 1, "recipe": {**RECIPE, "lr": 0.005, "seed": 7}, "found": {}})
    run = distingo.train(data, tmp_path / "run", recipe_file=file, lr=0.002)
    config = config_of(run)
    assert {name: config["recipe"][name] for name in RECIPE} == RECIPE
    assert (config["recipe"]["lr"], config["recipe"]["seed"]) == (0.002, 7)
    assert config["recipe_file"] == {"file": str(file.resolve()), "content": content_hash(file.read_bytes())}


def test_a_plain_object_of_fields_will_do(tmp_path: Path) -> None:
    assert read_recipe_file(write(tmp_path / "mine.json", {"lr": 0.01})).options == {"lr": 0.01}


def test_an_image_size_on_the_command_line_replaces_the_files_sides(tmp_path: Path) -> None:
    file = read_recipe_file(write(tmp_path / "recipe.json", RECIPE))
    assert file.fill_up({"image_size": 16}, divided=False) == {
        name: value for name, value in {**RECIPE, "image_size": 16}.items() if name not in {"height", "width"}
    }


def test_shares_mean_nothing_beside_a_split_file(tmp_path: Path) -> None:
    file = read_recipe_file(write(tmp_path / "recipe.json", {"lr": 0.01, "test": 0.3, "validation": 0.1}))
    assert file.fill_up({}, divided=True) == {"lr": 0.01}
    assert file.fill_up({}, divided=False)["test"] == 0.3


def test_an_unknown_field_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "recipe.json", {"recipe": {"wieght_decay": 0.1}})
    with raises(UsageError, code="unknown_option", naming=("recipe.json", "'wieght_decay'")):
        read_recipe_file(path)


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "cannot_read"), ("{", "damaged_file"), ("[1]", "wrong_format"), ('{"recipe": 3}', "wrong_format")],
)
def test_what_is_no_recipe_file_is_refused_by_name(tmp_path: Path, content: str | None, code: ErrorCode) -> None:
    path = tmp_path / "recipe.json"
    if content is not None:
        path.write_text(content)
    with raises(DataError, code=code, naming="recipe.json"):
        read_recipe_file(path)


def test_a_newer_files_format_is_refused(tmp_path: Path) -> None:
    with raises(UsageError, code="newer_version"):
        read_recipe_file(write(tmp_path / "recipe.json", {"format": 99, "recipe": {}}))


def test_two_sources_of_a_recipe_are_refused(tmp_path: Path) -> None:
    with raises(UsageError, code="options_conflict", parameter="config"):
        distingo.train(tmp_path, tmp_path / "run", config="config.json", recipe_file="recipe.json")
