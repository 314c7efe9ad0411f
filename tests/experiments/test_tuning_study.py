from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from distingo.errors import ResourceError
from distingo.experiments.tuning_records import LogRange, Options, choose_best
from distingo.experiments.tuning_study import SCRATCH_SPACE, SPACES, SearchSpace, Study, default_values, narrow
from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.recipe import Recipe
from raising import raises

SPACE = SearchSpace("training", (LogRange("lr", 1e-4, 1e-2), Options("augment", ("none", "light"))))


DEFAULT = {"lr": 1e-3, "augment": "light"}


GRID = SearchSpace("head", (Options("views", ("none", "flip")), Options("head", ("linear", "knn"))))


def open_study(place: Path, space: SearchSpace = SPACE) -> Study:
    default = DEFAULT if space is SPACE else {"views": "none", "head": "linear"}
    return Study(place / "trials.sqlite3", space, default, seed=1, epochs=4)


def worth(values: dict[str, Any]) -> float:
    return 1 - abs(values["lr"] - 3e-3) * 50 - (values["augment"] == "none") * 0.2


def search(study: Study, count: int) -> list[dict[str, Any]]:
    for _ in range(count):
        asked = study.ask()
        study.finish(asked, worth(asked.params), seconds=1.0, loss=0.5)
    return [trial.values for trial in study.trials(before=0)]


def test_the_default_is_tried_first(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    search(study, 2)
    first, second = study.trials(before=5)
    assert (first.values, first.is_default, first.number, first.state) == (DEFAULT, True, 6, "complete")
    assert (second.is_default, second.number) == (False, 7)
    assert study.seconds == 2.0


def test_a_search_that_was_killed_asks_for_the_same_recipes(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = search(open_study(tmp_path / "whole"), 12)
    search(open_study(tmp_path / "killed"), 9)
    under_way = open_study(tmp_path / "killed").ask().params  # its process ends here
    study = open_study(tmp_path / "killed")
    again = study.ask()
    assert again.params == under_way
    study.finish(again, worth(again.params), seconds=1.0, loss=0.5)
    assert search(study, 2) == whole
    assert len({str(values) for values in whole}) == 12


def test_a_trial_put_off_is_tried_again_and_the_default_stays_it(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    study.postpone(study.ask(), seconds=3.0)
    assert (study.trials(before=0), study.seconds) == ((), 3.0)
    again = study.ask()
    assert (again.params, again.user_attrs["default"]) == (DEFAULT, True)


def test_every_combination_is_tried_once_and_then_no_more(tmp_path: Path) -> None:
    study = open_study(tmp_path, GRID)
    tried = []
    while (asked := study.ask()) is not None:
        tried.append(dict(asked.params))
        study.finish(asked, 0.5, seconds=0.1)
    assert tried == [{"views": v, "head": h} for v in ("none", "flip") for h in ("linear", "knn")]


def test_trials_that_end_early_keep_what_they_were(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    search(study, 1)
    given_up, failed = study.ask(), study.ask()
    given_up.report(0.4, 1)
    given_up.report(0.3, 2)
    study.finish(given_up, None, seconds=1.0)
    study.finish(failed, None, seconds=1.0, reason="memory ran out")
    _, pruned, broken = study.trials(before=0)
    assert (pruned.state, pruned.score, pruned.curve) == ("pruned", 0.4, (0.4, 0.3))
    assert (broken.state, broken.score, broken.reason) == ("failed", None, "memory ran out")
    best = choose_best(study.trials(before=0))
    assert best is not None
    assert best.number == 1


def test_what_mattered_is_told_once_there_are_trials_enough(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    search(study, 3)
    assert study.importances() == {}
    search(study, 12)
    importances = study.importances()
    assert set(importances) == {"lr", "augment"}
    assert sum(importances.values()) == pytest.approx(1)


def test_what_is_remembered_is_settled(tmp_path: Path) -> None:
    assert open_study(tmp_path).recalled("head") is None
    assert open_study(tmp_path).remember("head", {"head": "linear"}) == {"head": "linear"}
    assert open_study(tmp_path).remember("head", {"head": "linear-svm"}) == {"head": "linear"}


def test_a_damaged_storage_is_named(tmp_path: Path) -> None:
    (tmp_path / "trials.sqlite3").write_bytes(b"no database at all" * 100)
    with raises(ResourceError, code="cannot_read", parameter="output", naming="trials.sqlite3"):
        open_study(tmp_path)


FACTS = DataFacts(images=1000, height=300, width=400, gray=False)


def scratch(facts: DataFacts = FACTS, **options: Any) -> Recipe:
    return choose_recipe(facts, {"model": "small-cnn", **options})[0]


def names(recipe: Recipe, **more: Any) -> set[str]:
    settings = {"requested": (), "task": "single-label", "train": 600, **more}
    return {dimension.name for dimension in narrow(SCRATCH_SPACE, recipe, **settings).dimensions}


def test_every_dimension_is_a_recipe_field() -> None:
    known = {field.name for field in fields(Recipe)} | {"image_size"}
    for space in SPACES.values():
        assert {dimension.name for dimension in space.dimensions} <= known


def test_the_default_lies_inside() -> None:
    recipe = scratch(augment="reference", lr=0.3)
    space = narrow(SCRATCH_SPACE, recipe, requested=(), task="single-label", train=600)
    for dimension in space.dimensions:
        default = default_values(space, recipe)[dimension.name]
        if isinstance(dimension, LogRange):
            assert dimension.low < default < dimension.high  # type: ignore[operator]
        else:
            assert default in dimension.values


def test_what_the_person_wishes_is_not_searched() -> None:
    assert not names(scratch(), requested={"lr", "image_size"}) & {"lr", "image_size"}


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


def test_small_images_are_seen_as_they_are() -> None:
    small = DataFacts(images=1000, height=28, width=28, gray=True)
    assert "image_size" in names(scratch())
    assert "image_size" not in names(scratch(small))
    assert "image_size" not in names(choose_recipe(FACTS, {"model": "sports-cnn"})[0])


def test_no_batch_is_larger_than_a_quarter_of_the_images() -> None:
    space = narrow(SCRATCH_SPACE, scratch(), requested=(), task="single-label", train=200)
    sizes = next(entry for entry in space.dimensions if entry.name == "batch_size")
    assert isinstance(sizes, Options)
    assert sizes.values == (16, 32)
    assert "batch_size" not in names(scratch(), train=60)
