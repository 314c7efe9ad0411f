"""Data sets as they come from elsewhere, from a folder to a run: what is trained and evaluated on which split."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import distingo
from distingo.cli import main
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError, UsageError
from note_texts import texts
from raising import raises
from tiny_datasets import draw_classes

NAMES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def colors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 20 different images each."""
    return draw_classes(tmp_path_factory.mktemp("data") / "colours")


def spread(colors: Path, root: Path, place: Callable[[str, str, int], str]) -> Path:
    """Copy images: 12 of each class to train, 4 to validation, 4 to test, each to the path that `place` gives."""
    for name in NAMES:
        for at in range(20):
            split = "train" if at < 12 else "validation" if at < 16 else "test"
            path = root / place(split, name, at)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(colors / name / f"{at:03}.png", path)
    return root


def train(data: Path, output: Path, **options: Any) -> dict[str, Counter[str]]:
    """Train the majority class; by split how many images of which class."""
    distingo.train(data, output, model="majority", **options)
    with (output / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        split: Counter(row["labels"] for row in rows if row["split"] == split)
        for split in {row["split"] for row in rows}
    }


def each(count: int) -> Counter[str]:
    return Counter(dict.fromkeys(NAMES, count))


def manifest(run: Path) -> dict[str, tuple[str, str]]:
    with (run / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    "names",
    [
        {"train": "Training", "validation": "Dev", "test": "TESTING"},
        {"train": "training_set/training_set", "validation": "val_set/val_set", "test": "test_set/test_set"},
        {"train": "archive/seg_train/seg_train", "validation": "archive/seg_val", "test": "archive/seg_test/seg_test"},
    ],
)
def test_split_folders_stay_what_their_names_say(colors: Path, tmp_path: Path, names: dict[str, str]) -> None:
    data = spread(colors, tmp_path / "data", lambda split, name, at: f"{names[split]}/{name}/{at}.png")
    assert train(data, tmp_path / "run") == {"train": each(12), "validation": each(4), "test": each(4)}


def test_train_and_validation_without_a_test_split_have_it_cut_from_train(colors: Path, tmp_path: Path) -> None:
    names = {"train": "train", "validation": "val", "test": "val"}
    data = spread(colors, tmp_path / "data", lambda split, name, at: f"{names[split]}/{name}/{at}.png")
    assert train(data, tmp_path / "run") == {"train": each(10), "validation": each(8), "test": each(2)}
    assert texts(distingo.inspect(data).notes) == (
        "no folder is the test split; training cuts it from the train split",
    )


def test_metadata_in_every_split_holds_the_labels(colors: Path, tmp_path: Path) -> None:
    data = spread(colors, tmp_path / "data", lambda split, name, at: f"{split}/{name}{at}.png")
    for split in ("train", "validation", "test"):
        rows = [f"{path.name},{path.stem.rstrip('0123456789')}" for path in sorted((data / split).iterdir())]
        (data / split / "metadata.csv").write_text("\n".join(["file_name,label", *rows]) + "\n", encoding="utf-8")
    assert train(data, tmp_path / "run") == {"train": each(12), "validation": each(4), "test": each(4)}
    assert str(distingo.inspect(data).layout) == (
        "split folders, labels from train/metadata.csv, validation/metadata.csv, test/metadata.csv"
    )


def test_a_table_beside_flat_folders_holds_the_labels_and_what_it_does_not_name_is_ignored(
    colors: Path, tmp_path: Path
) -> None:
    data = spread(
        colors, tmp_path / "data", lambda split, name, at: f"{'test' if split == 'test' else 'train'}/{name}{at}.png"
    )
    rows = [f"{path.stem},{path.stem.rstrip('0123456789')}" for path in sorted((data / "train").iterdir())]
    (data / "train.csv").write_text("\n".join(["id,label", *rows]) + "\n", encoding="utf-8")
    (data / "sample_submission.csv").write_text("id,label\nblue16,blue\n", encoding="utf-8")
    assert train(data, tmp_path / "run") == {"train": each(11), "validation": each(2), "test": each(3)}
    found = manifest(tmp_path / "run")
    assert Counter(found.values()) == {
        ("used", ""): 48,
        ("ignored", "outside-classes"): 12,
        ("ignored", "holds-labels"): 1,
        ("ignored", "outside-splits"): 1,
    }
    assert {name for name, (_, why) in found.items() if why == "outside-classes"} == {
        f"test/{name}{at}.png" for name in NAMES for at in range(16, 20)
    }


def test_splits_below_sites_are_read_together_and_again_by_the_commands_that_follow(
    colors: Path, tmp_path: Path
) -> None:
    data = spread(colors, tmp_path / "data", lambda split, name, at: f"site{at % 2}/{split}/{name}/{at}.png")
    with raises(DataError, code="ambiguous_folders") as caught:
        distingo.train(data, tmp_path / "refused", model="majority")
    text = "train=*/train,validation=*/validation,test=*/test"
    assert f'splits "{text}"' in str(caught.value)
    run = tmp_path / "run"
    found = train(data, run, table=TableOptions(splits=text))
    assert found == {"train": each(12), "validation": each(4), "test": each(4)}
    assert json.loads((run / "config.json").read_text(encoding="utf-8"))["table"] == {"splits": text}
    evaluation = distingo.evaluate(run)
    assert (evaluation.n, evaluation.classes) == (12, NAMES)
    assert main(["train", "--config", str(run / "config.json"), "-o", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "split.csv").read_bytes() == (run / "split.csv").read_bytes()


def test_a_request_is_kept_for_the_commands_that_follow(colors: Path, tmp_path: Path) -> None:
    sites = {"train": "paris", "validation": "rome", "test": "oslo"}
    data = spread(colors, tmp_path / "data", lambda split, name, at: f"{sites[split]}/{name}/{at}.png")
    with raises(DataError, code="ambiguous_folders"):
        distingo.train(data, tmp_path / "run", model="majority")
    text = "train=paris,validation=rome,test=oslo"
    run = tmp_path / "run"
    assert main(["train", str(data), "-o", str(run), "--model", "majority", "--splits", text]) == 0
    assert json.loads((run / "config.json").read_text(encoding="utf-8"))["table"] == {"splits": text}
    assert distingo.evaluate(run).n == 12
    assert main(["train", "--config", str(run / "config.json"), "-o", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "split.csv").read_bytes() == (run / "split.csv").read_bytes()
    assert main(["evaluate", str(run), str(data), "--splits", "test=rome"]) == 0
    with raises(UsageError, code="option_not_applicable"):
        distingo.evaluate(run, table=TableOptions(splits="none"))
    assert main(["check", str(data), "-o", str(tmp_path / "check"), "--splits", text, "--model", "descriptors"]) == 0
    assert main(["split", str(data), "-o", str(tmp_path / "sides.csv"), "--splits", "train=*"]) == 0


@pytest.mark.parametrize(
    ("place", "count"), [("one", 5), ("one/red", 5), ("both/test", 9), ("both", 9), ("table.csv", 5), ("below/red", 5)]
)
def test_a_run_is_evaluated_on_fewer_classes_than_it_knows(
    tiny_runs: dict[str, Path], colors: Path, tmp_path: Path, place: str, count: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_runs["majority"], run)
    shutil.copytree(colors / "red", tmp_path / "all")
    files = sorted((tmp_path / "all").iterdir())
    for folder, chosen in {"one/red": files[:5], "below/red/old": files[:2], "below/red/new": files[2:5]}.items():
        (tmp_path / folder).mkdir(parents=True)
        for file in chosen:
            shutil.copy(file, tmp_path / folder)
    for name, amount in {"red": 5, "blue": 4}.items():
        (tmp_path / "both" / "test" / name).mkdir(parents=True)
        for at in range(amount):
            shutil.copy(colors / name / f"{at:03}.png", tmp_path / "both" / "test" / name)
    rows = "".join(f"one/red/{file.name},red\n" for file in files[:5])
    (tmp_path / "table.csv").write_text(f"file,label\n{rows}", encoding="utf-8")
    evaluation = distingo.evaluate(run, tmp_path / place)
    assert evaluation.n == count
    assert evaluation.classes == NAMES


def test_a_class_that_the_model_does_not_know_is_named(
    tiny_runs: dict[str, Path], colors: Path, tmp_path: Path
) -> None:
    shutil.copytree(colors / "red", tmp_path / "data" / "violet")
    with raises(DataError, code="classes_differ", parameter="data"):
        distingo.evaluate(tiny_runs["majority"], tmp_path / "data")


@pytest.mark.data
def test_two_sports_as_training_and_testing(real_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "Training").symlink_to(real_data / "two-sports" / "train")
    (data / "Testing").symlink_to(real_data / "two-sports" / "test")
    plain, renamed = distingo.inspect(real_data / "two-sports"), distingo.inspect(data)
    counts = [
        Counter((image.label, image.predefined_split) for image in dataset.images) for dataset in (plain, renamed)
    ]
    assert counts[0] == counts[1]
    assert {split for _, split in counts[1]} == {"train", "test"}
    assert texts(renamed.notes)[0] == "split folders: Training (train), Testing (test)"
