"""A tracker that fails must never harm a run."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import distingo
from distingo.errors import UsageError
from distingo.runs.contents import RunRecords
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord
from distingo.tracking.destination import EpochPoint, RunStatus, final_scores, parameters
from distingo.tracking.following import Follower, choose_tracking
from raising import raises
from tiny_runs import copy_run


class Place:
    """A destination that can be away."""

    where = "a place"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_away = False

    def begin(self, records: RunRecords, run_id: str) -> str:
        return self._tell(f"begin {run_id}") or "id-1"

    def send_epochs(self, points: Sequence[EpochPoint]) -> None:
        self._tell(f"epochs {[point.epoch for point in points]}")

    def send_result(self, records: RunRecords) -> None:
        self._tell(f"result {len(final_scores(records)) > 10}")

    def end(self, status: RunStatus) -> None:
        self._tell(status)

    def _tell(self, what: str) -> None:
        if self.is_away:
            raise ConnectionError("nobody\nthere")
        self.told.append(what)


def record(epoch: int) -> EpochRecord:
    return EpochRecord(epoch, 0.5, 0.8, 0.6, 0.7, 1e-3, 100.0, 1.0)


@pytest.fixture
def run(tiny_runs: dict[str, Path], tmp_path: Path) -> RunFolder:
    return RunFolder(copy_run(tiny_runs["small-cnn"], tmp_path / "run"))  # two epochs in its history


def test_epochs_are_sent_as_they_come_and_the_result_at_the_end(run: RunFolder) -> None:
    place = Place()
    follower = Follower(place, run)
    follower.on_epoch(record(2))  # what history.csv holds is sent with the first
    follower.on_epoch(record(3))
    follower.finish()
    assert place.told == ["begin ", "epochs [1, 2]", "epochs [3]", "result True", "finished"]
    notes = json.loads((run.path / "tracking.json").read_text())
    assert notes["tracked"] == {"a place": {"id": "id-1", "epochs": 3}}


def test_another_process_goes_on_in_the_same_place(run: RunFolder) -> None:
    Follower(Place(), run).on_epoch(record(2))
    place = Place()
    follower = Follower(place, run)
    follower.finish()
    assert place.told == ["begin id-1", "result True", "finished"]


def test_a_place_that_goes_away_is_told_of_once_and_gets_all_in_the_end(
    run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place()
    follower = Follower(place, run)
    follower.on_epoch(record(2))
    place.is_away = True
    with caplog.at_level(logging.WARNING, "distingo"):
        for epoch in (3, 4, 5):
            follower.on_epoch(record(epoch))
    assert len(caplog.messages) == 1
    assert "not tracked in a place (nobody there); the run continues" in caplog.messages[0]
    place.is_away = False
    follower.finish()
    assert place.told[2:] == ["epochs [3, 4, 5]", "result True", "finished"]


def test_a_place_that_stays_away_leaves_the_way_to_send_it_later(
    run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place()
    place.is_away = True
    follower = Follower(place, run)
    with caplog.at_level(logging.WARNING, "distingo"):
        follower.on_epoch(record(2))
        follower.finish()
    assert len(caplog.messages) == 2
    assert f"`distingo train -o {run.path} --resume` with the same track sends" in caplog.messages[-1]
    later = Place()
    Follower(later, run).finish()
    assert later.told == ["begin ", "epochs [1, 2]", "result True", "finished"]


def test_parameters_and_scores_are_all_there(run: RunFolder) -> None:
    from distingo.runs.contents import read_run

    records = read_run(run.path)
    told: dict[str, Any] = parameters(records)
    assert (told["model"], told["epochs"], told["dropout"]) == ("small-cnn", 2, "own")
    assert told["train_pictures"] + told["validation_pictures"] + told["test_pictures"] == 60
    scores = final_scores(records)
    assert scores["test/accuracy_low"] <= scores["test/accuracy"] <= scores["test/accuracy_high"]
    assert "baseline_majority/accuracy" in scores


def test_what_makes_no_sense_is_refused() -> None:
    assert choose_tracking(None, None) is None
    with raises(UsageError, code="needs_other_option", parameter="track_to"):
        choose_tracking(None, "runs")
    with raises(UsageError, code="unknown_name", parameter="track"):
        choose_tracking("wandb", None)


@pytest.mark.parametrize(("tracker", "module"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str, module: str
) -> None:
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == module or "torch.utils.tensorboard" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with raises(UsageError, code="missing_extra", parameter="track"):
        distingo.train(tmp_path, tmp_path / "run", track=tracker, track_to="http://127.0.0.1:1")
    assert not (tmp_path / "run").exists()
