from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distingo.errors import ResourceError
from distingo.tuning.records import LogRange, Options, choose_best
from distingo.tuning.spaces import SearchSpace
from distingo.tuning.study import Study
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
    study.put_off(study.ask(), seconds=3.0)
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
