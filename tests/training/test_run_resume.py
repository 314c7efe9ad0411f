"""A real process is killed at several moments; the resumed run must end in the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distingo.models.description import read_description
from tiny_datasets import draw_classes, draw_labels

RECIPE = ["--model", "small-cnn", "--image-size", "16", "--epochs", "6", "--batch-size", "16", "--seed", "3"]
RECIPE += ["--augment", "standard", "--ema-decay", "0.9", "--optimizer", "adamw", "--schedule", "one-cycle"]


def start(data: Path, output: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "distingo", "train", str(data), "-o", str(output), *more]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.fixture
def _hearing_ctrl_c() -> Iterator[None]:
    """Tests that were started in the background ignore Ctrl-C, and so would their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_for(condition: object, process: subprocess.Popen[bytes]) -> None:
    while not condition():  # type: ignore[operator]
        assert process.poll() is None or condition(), process.stderr.read().decode()  # type: ignore[operator, union-attr]
        time.sleep(0.002)


def epochs_done(output: Path) -> int:
    history = output / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.is_file() else 0


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True], ids=["one label", "several labels"])
def test_a_run_killed_several_times_ends_in_the_same_weights(tmp_path: Path, several: bool) -> None:
    data = draw_classes(tmp_path / "data", per_class=60)
    if several:
        data = draw_labels(tmp_path / "labelled", count=180) / "labels.csv"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(data, whole, *RECIPE).wait(300) == 0

    process = start(data, killed, *RECIPE)
    wait_for((killed / "config.json").is_file, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    for epochs, delay in ((1, 0.0), (2, 0.03), (4, 0.06)):
        process = start(data, killed, "--resume")
        wait_for(lambda wanted=epochs: epochs_done(killed) >= wanted, process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert start(data, killed, "--resume").wait(300) == 0

    for name in ("model/model.safetensors", "predictions.parquet", "evaluation.json", "split.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    thresholds = [read_description(run / "model").thresholds for run in (killed, whole)]
    assert thresholds[0] == thresholds[1]
    assert (thresholds[0] is not None) == several
    assert not list(killed.rglob(".*")), "half-written files were left"


@pytest.mark.slow
@pytest.mark.usefixtures("_hearing_ctrl_c")
def test_ctrl_c_stops_cleanly_and_reports_how_to_continue(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", per_class=60)
    process = start(data, tmp_path / "run", *RECIPE, "--epochs", "500")
    wait_for(lambda: epochs_done(tmp_path / "run") >= 1, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr is not None
    last = process.stderr.read().decode().splitlines()[-1]
    assert "--resume` continues" in last
