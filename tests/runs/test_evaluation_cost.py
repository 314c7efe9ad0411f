"""What runs write down about their cost."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import distingo
from distingo.errors import RunError
from distingo.runs.evaluation import PredictionCost, RunCost, TrainingCost, read_cost, write_cost
from raising import raises
from tiny_runs import copy_run, forget_checksums

TRAINING = TrainingCost(1.5, 2.5, 1000, None, False)
PREDICTION = PredictionCost(120.5, 12, 0.1, "cpu", "float32", None)


def test_each_part_leaves_the_other_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "cost.json"
    assert read_cost(path) == RunCost()
    write_cost(path, prediction=PREDICTION)
    write_cost(path, training=TRAINING)
    assert read_cost(path) == RunCost(TRAINING, PREDICTION)
    write_cost(path, training=replace(TRAINING, reading_seconds=9.0))
    assert read_cost(path).prediction == PREDICTION
    assert TRAINING.seconds == 4.0


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cost.json"
    path.write_text(json.dumps({"format": 1, "training": {"hours": 3}}))
    with raises(RunError, code="damaged_file", naming="cost.json"):
        read_cost(path)
    path.write_text(json.dumps({"format": 99}))
    with raises(RunError, code="newer_version"):
        read_cost(path)


@pytest.mark.parametrize("model", ["majority", "descriptors", "small-cnn"])
def test_every_run_has_it_whole(tiny_runs: dict[str, Path], model: str) -> None:
    cost = read_cost(tiny_runs[model] / "cost.json")
    assert cost.training is not None
    assert not cost.training.resumed
    assert 0 < cost.training.reading_seconds < 60
    assert 0 < cost.training.fitting_seconds < 60
    assert cost.prediction is not None
    assert cost.prediction.images >= 12  # all test images, repeated until enough was measured
    rate = cost.prediction.images / cost.prediction.seconds
    assert cost.prediction.images_per_second == pytest.approx(rate, rel=0.01)
    assert 1e7 < cost.prediction.peak_memory_bytes < 1e11


def test_evaluating_again_measures_prediction_and_keeps_training(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["majority"], tmp_path / "run")
    before = read_cost(run / "cost.json")
    write_cost(run / "cost.json", prediction=PREDICTION)
    evaluation = (run / "evaluation.json").read_bytes()
    distingo.evaluate(run)
    after = read_cost(run / "cost.json")
    assert after.training == before.training
    assert after.prediction != PREDICTION
    assert (run / "evaluation.json").read_bytes() == evaluation
    distingo.evaluate(run, tiny_runs["majority"].parent / "colours")
    assert read_cost(run / "cost.json") == after
    assert not list((run / "evaluations").rglob("cost.json"))


def test_an_interrupted_runs_epochs_count(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["small-cnn"], tmp_path / "run")
    for gone in ("model/model.json", "cost.json"):
        (run / gone).unlink()
    lines = (run / "history.csv").read_text().splitlines()
    lines[1:] = [",".join([*line.split(",")[:-1], "500"]) for line in lines[1:]]
    (run / "history.csv").write_text("\n".join(lines) + "\n")
    forget_checksums(run)
    distingo.train(output=run, resume=True)
    training = read_cost(run / "cost.json").training
    assert training is not None
    assert training.resumed
    assert 1000 < training.fitting_seconds < 1100


_HOLDING = """
from distingo.machine.memory import forget_peak_memory, peak_memory
print(peak_memory())
held = bytearray(b"x") * 100_000_000
print(peak_memory())
del held
print(forget_peak_memory(), peak_memory())
"""


def test_the_peak_rises_with_what_is_held_and_can_be_forgotten() -> None:
    """In a process of its own: this one may keep what it frees (`distingo.machine.device`)."""
    done = subprocess.run([sys.executable, "-c", _HOLDING], capture_output=True, text=True, check=True)
    before, high, forgotten, after = done.stdout.split()
    assert int(high) >= int(before) + 90_000_000
    assert int(after) < int(high) - 90_000_000 if forgotten == "True" else int(after) >= int(high)
