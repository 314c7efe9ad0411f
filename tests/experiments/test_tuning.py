"""Searches with real training on tiny images."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distingo
from distingo.datasets.cache.store import ArrayStore
from distingo.errors import ErrorCode, RunError, UsageError
from distingo.experiments.tuning_records import Search, choose_best
from distingo.prediction import classifier as embedding
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes, draw_labels

SMALL: dict[str, Any] = {"model": "small-cnn", "image_size": 8, "epochs": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "colours", per_class=24, size=36)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_backbone(tmp_path_factory.mktemp("weights") / "tiny"))


@dataclass
class Watched:
    """A search on a backbone, and what it did meanwhile."""

    search: Search
    folder: Path
    contents: set[str]
    embedded: list[int]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: str) -> Watched:
    place, contents, embedded = tmp_path_factory.mktemp("search"), set[str](), list[int]()
    rows, run = ArrayStore.rows, embedding.Embedder._run

    def note(self: ArrayStore, keys: list[str]) -> Any:
        if self._folder.name.startswith(("features", "pixels")):  # others hold what copies are found by
            contents.update(keys)
        return rows(self, keys)

    def count(self: embedding.Embedder, pixels: np.ndarray) -> np.ndarray:
        embedded.append(len(pixels))
        return run(self, pixels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArrayStore, "rows", note)
        patch.setattr(embedding.Embedder, "_run", count)
        search = distingo.tune(data, place / "tune", trials=4, cache=place / "cache", **tiny(backbone))
    return Watched(search, place / "tune", contents, embedded)


def tiny(backbone: str) -> dict[str, Any]:
    return {"model": backbone, "engine": "torch", "precision": "float32", "epochs": 2}


def test_heads_come_first_and_fine_tuning_goes_on_from_the_best(watched: Watched) -> None:
    search = watched.search
    heads, training = search.stages
    assert [len(stage.trials) for stage in search.stages] == [1, 3]
    assert heads.trials[0].values == {"views": "none", "head": "linear", "class_weights": "none"}
    assert search.default_trial == heads.trials[0]
    assert search.default["mode"] == "frozen"
    assert {entry.name for entry in training.dimensions} >= {"lr", "layer_decay", "weight_decay", "augment"}
    assert search.is_finished
    assert search.gain is not None
    assert search.gain >= 0


def test_the_test_side_is_read_for_no_score(watched: Watched) -> None:
    splits = {row["file"]: row["split"] for row in read(watched.folder / "prepared" / "split.csv")}
    contents = {row["file"]: row["content"] for row in read(watched.folder / "prepared" / "manifest.csv")}
    by_split = {split: {contents[file] for file in splits if splits[file] == split} for split in set(splits.values())}
    assert len(by_split["test"]) == watched.search.test > 10
    assert not watched.contents & by_split["test"]
    assert by_split["train"] | by_split["validation"] <= watched.contents


def test_images_are_embedded_once(watched: Watched) -> None:
    assert sum(watched.embedded) == 72


@pytest.mark.slow
def test_fine_tuning_leaves_the_next_trial_the_weights_it_found(
    tmp_path: Path, data: Path, backbone: str, watched: Watched
) -> None:
    heads, training = watched.search.stages
    head = choose_best(heads.trials)
    assert head is not None
    last = training.trials[-1]
    run = distingo.train(data, tmp_path / "run", mode="finetune", **tiny(backbone), **{**head.values, **last.values})
    losses = {row["validation_loss"] for row in read(run.path / "history.csv")}
    assert f"{last.loss:.6g}" in losses


@pytest.mark.slow
def test_a_mode_that_is_requested_is_the_best_ones(tmp_path: Path, data: Path, backbone: str) -> None:
    search = distingo.tune(data, tmp_path / "tune", trials=3, mode="finetune", **tiny(backbone))
    assert [trial.stage for trial in search.trials] == ["head", "training", "training"]
    assert [trial.is_default for trial in search.trials] == [False, True, False]
    assert search.best is not None
    assert search.best["mode"] == "finetune"
    frozen = distingo.tune(data, tmp_path / "frozen", trials=3, mode="frozen", **tiny(backbone))
    assert {trial.stage for trial in frozen.trials} == {"head"}


def test_other_test_images_change_nothing(tmp_path: Path) -> None:
    found = []
    for number, names in enumerate((("blue", "green", "red"), ("red", "blue", "green"))):
        root = tmp_path / str(number)
        for place, split in enumerate(("train", "val")):
            draw_classes(root / split, per_class=12, size=16 + place)
        draw_classes(root / "test", per_class=6, size=20, names=names)  # the second time all under another name
        search = distingo.tune(root, tmp_path / f"tune{number}", trials=3, **SMALL)
        found.append([(trial.values, trial.score, trial.loss) for trial in search.trials])
    assert found[0] == found[1]


def test_several_labels_are_searched_by_their_own_score(tmp_path: Path) -> None:
    table = draw_labels(tmp_path / "labelled", count=120) / "labels.csv"
    search = distingo.tune(table, tmp_path / "tune", trials=3, **SMALL)
    assert (search.task, search.monitor) == ("multi-label", "validation_mean_average_precision")
    assert all("positive_weights" in trial.values for trial in search.trials)


def test_the_best_recipe_trains_on_the_same_split(tmp_path: Path, data: Path) -> None:
    search = distingo.tune(data, tmp_path / "tune", trials=3, seed=4, lr=0.004, **SMALL)
    assert all("lr" not in trial.values for trial in search.trials)
    run = distingo.train(data, tmp_path / "run", recipe_file=tmp_path / "tune" / "best-recipe.json")
    assert (run.path / "split.csv").read_bytes() == (tmp_path / "tune" / "prepared" / "split.csv").read_bytes()
    recipe = json.loads((run.path / "config.json").read_text())["recipe"]
    assert recipe == search.best
    assert (recipe["seed"], recipe["lr"]) == (4, 0.004)
    written = tmp_path / "tune" / "best-recipe.json"  # for people to edit: it has no checksum
    written.write_text(written.read_text("utf-8").replace('"lr": 0.004', '"lr": 0.003'), "utf-8")
    changed = distingo.train(data, tmp_path / "changed", recipe_file=written)
    assert json.loads((changed.path / "config.json").read_text())["recipe"]["lr"] == 0.003


def test_more_trials_continue_where_the_search_ended(tmp_path: Path, data: Path) -> None:
    first = distingo.tune(data, tmp_path / "tune", trials=2, **SMALL)
    more = distingo.tune(data, tmp_path / "tune", trials=4, **SMALL)
    assert more.trials[:2] == first.trials
    assert len(more.trials) == 4
    whole = distingo.tune(data, tmp_path / "whole", trials=4, **SMALL)
    assert [trial.values for trial in whole.trials] == [trial.values for trial in more.trials]


def test_a_budget_that_is_over_leaves_the_default(tmp_path: Path, data: Path) -> None:
    search = distingo.tune(data, tmp_path / "tune", budget=0.01, **SMALL)
    assert [trial.is_default for trial in search.trials] == [True]
    assert search.gain == 0


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path, data: Path) -> None:
    distingo.tune(data, tmp_path / "tune", trials=2, **SMALL)
    with raises(UsageError, code="changed_options", parameter="output"):
        distingo.tune(data, tmp_path / "tune", trials=2, **{**SMALL, "epochs": 3})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.tune(data, tmp_path / "mine", trials=2, **SMALL)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "missing_argument"),
        ({"trials": 1}, "out_of_range"),
        ({"trials": 3, "model": "descriptors"}, "option_not_applicable"),
    ],
)
def test_a_search_without_sense_is_refused(
    tmp_path: Path, data: Path, options: dict[str, Any], code: ErrorCode
) -> None:
    with raises(UsageError, code=code):
        distingo.tune(data, tmp_path / "tune", **{**SMALL, **options})
    assert not (tmp_path / "tune").exists()


COMMAND = ["--model", "small-cnn", "--image-size", "8", "--epochs", "5", "--batch-size", "16", "--trials", "4"]


def start(data: Path, output: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "distingo", "tune", str(data), "-o", str(output), *COMMAND]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> None:
    while not condition():
        assert process.poll() is None or condition(), process.stderr.read().decode()  # type: ignore[union-attr]
        time.sleep(0.005)


def trials_done(output: Path) -> int:
    return len(read(output / "trials.csv")) if (output / "trials.csv").is_file() else 0


@pytest.mark.slow
def test_a_killed_search_goes_on_and_repeats_no_finished_trial(tmp_path: Path, data: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(data, whole).wait(300) == 0
    for done in (1, 2):
        process = start(data, killed)
        wait_for(lambda done=done: trials_done(killed) >= done, process)
        wait_for(lambda: any(killed.glob("trials/*/checkpoint/last.safetensors")), process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert start(data, killed).wait(300) == 0

    left, right = (
        [{name: value for name, value in row.items() if name != "seconds"} for row in read(place / "trials.csv")]
        for place in (whole, killed)
    )
    assert left == right
    assert len(right) == 4
    recipes = [json.loads((place / "best-recipe.json").read_text()) for place in (whole, killed)]
    assert recipes[0] == recipes[1]
    assert not list(killed.glob("trials/*/checkpoint"))


@pytest.fixture
def _hearing_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("_hearing_ctrl_c")
def test_ctrl_c_ends_with_what_was_found(tmp_path: Path, data: Path) -> None:
    output = tmp_path / "tune"
    process = start(data, output)
    wait_for(lambda: trials_done(output) >= 2, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr is not None
    last = process.stderr.read().decode().splitlines()[-1]
    assert "best-recipe.json; the same command continues" in last
    assert "tune.html" in {path.name for path in output.iterdir()}
    assert json.loads((output / "best-recipe.json").read_text())["recipe"]["model"] == "small-cnn"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
