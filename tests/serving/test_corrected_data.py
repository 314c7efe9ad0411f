"""Export of corrections as a data set, which training accepts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from drawing import encode, noise

import distingo
from distingo.cli import main
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.errors import DataError, ResourceError, UsageError
from distingo.messages.notes import note
from distingo.records import Dataset, Task
from distingo.serving.corrections import CorrectionStore, SentCorrection
from raising import raises


def filled(path: Path, *labels: tuple[str, ...], task: Task = "single-label", model: str = "fruit") -> CorrectionStore:
    """A store with a different image for each entry."""
    store = CorrectionStore(path)
    for number, names in enumerate(labels):
        image = encode(noise(number), "PNG" if number % 2 else "JPEG")
        kind = "PNG" if number % 2 else "JPEG"
        store.add(SentCorrection(image, kind, model, "3f2a", task, names, {"label": "wrong", "probability": 0.5}))
    return store


def read(folder: Path, cache: Path) -> Dataset:
    return read_dataset(folder, Reading(cache=Cache(cache)))


def labels_of(dataset: Dataset) -> list[tuple[str, ...]]:
    return sorted(image.labels for image in dataset.images)


def test_one_label_becomes_class_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = filled(tmp_path / "c.sqlite", ("pear",), ("Äpfel 梨",), ("pear",))
    first = encode(noise(0), "JPEG")
    store.add(SentCorrection(first, "JPEG", "fruit", "4b", "single-label", ("quince",), None))
    assert main(["corrections", "export", str(store.path), "-o", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "3 pictures corrected for fruit" in said
    assert "1 earlier correction of the same pictures left out" in said
    dataset = read(tmp_path / "data", tmp_path / "cache")
    assert (dataset.layout.code, dataset.task) == ("class-folders", "single-label")
    assert labels_of(dataset) == [("pear",), ("quince",), ("Äpfel 梨",)]
    assert dataset.left_out == () and dataset.notes == ()
    images = {path.read_bytes() for path in (tmp_path / "data").rglob("*.*") if path.suffix != ".csv"}
    assert images == {first, encode(noise(1)), encode(noise(2), "JPEG")}
    with (tmp_path / "data" / "provenance.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    (quince,) = (row for file, row in rows.items() if file.startswith("quince/"))
    assert (quince["version"], quince["times"], json.loads(quince["labels"])) == ("4b", "2", ["quince"])
    assert all((tmp_path / "data" / file).is_file() for file in rows)


def test_several_labels_become_a_table(tmp_path: Path) -> None:
    odd = ("a, b", "c|d", '"e"', "[f]", "tags")
    store = filled(tmp_path / "c.sqlite", odd, ("tags",), (), ("sea", "day"), task="multi-label")
    data = distingo.export_corrections(store.path, tmp_path / "data")
    assert (data.images, data.task, data.classes["tags"], data.unlabeled) == (4, "multi-label", 2, 1)
    dataset = read(data.folder, tmp_path / "cache")
    assert dataset.task == "multi-label"
    assert labels_of(dataset) == sorted([tuple(sorted(odd)), ("tags",), (), ("day", "sea")])


@pytest.mark.parametrize("odd", ["T-shirt/top", "..", ".hidden", "PEAR", "con", " edge ", "__MACOSX"])
def test_a_class_that_can_be_no_folder_stands_in_a_table(tmp_path: Path, odd: str) -> None:
    store = filled(tmp_path / "c.sqlite", ("pear",), (odd,), ("pear",), (odd,))
    data = distingo.export_corrections(store.path, tmp_path / "data")
    assert data.notes[0] == note("class-names-not-for-folders", file="labels.csv")
    assert {path.name for path in data.folder.iterdir()} == {"labels.csv", "images", "provenance.csv"}
    dataset = read(data.folder, tmp_path / "cache")
    assert set(dataset.classes) == {"pear", odd.strip()}


def test_classes_named_like_sides_stay_classes(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite", ("train",), ("test",), ("train",), ("val",))
    data = distingo.export_corrections(store.path, tmp_path / "data")
    dataset = read(data.folder, tmp_path / "cache")
    assert (dataset.layout.code, dataset.classes) == ("class-folders", ("test", "train", "val"))


def test_several_models_are_distinguished(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite", ("pear",), ("fig",))
    filled(store.path, ("oak",), ("elm",), ("ash",), model="trees")
    with raises(UsageError, code="ambiguous_name", parameter="model"):
        distingo.export_corrections(store.path, tmp_path / "data")
    with raises(UsageError, code="unknown_name", parameter="model"):
        distingo.export_corrections(store.path, tmp_path / "data", model="tree")
    assert distingo.export_corrections(store.path, tmp_path / "data", model="trees").images == 3


def test_nothing_is_overwritten_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite", ("pear",), ("fig",))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine", encoding="utf-8")
    with raises(ResourceError, code="not_empty", parameter="output"):
        distingo.export_corrections(store.path, tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine.txt"]
    import sqlite3

    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE pictures SET content = x'00'")
    with raises(DataError, code="damaged_file"):
        distingo.export_corrections(store.path, tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"data"}


def test_an_empty_store_is_reported(tmp_path: Path) -> None:
    CorrectionStore(tmp_path / "c.sqlite")
    with raises(DataError, code="empty_file"):
        distingo.export_corrections(tmp_path / "c.sqlite", tmp_path / "data")
    with raises(DataError, code="not_found"):
        distingo.export_corrections(tmp_path / "none.sqlite", tmp_path / "data")


def test_a_single_class_is_reported(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite", ("pear",), ("pear",))
    assert distingo.export_corrections(store.path, tmp_path / "data").notes == (note("corrections-of-one-class"),)


def test_an_own_table_named_like_ours_stays_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("a", "b"):
        (data / name).mkdir(parents=True)
        (data / name / "0.png").write_bytes(encode(noise(ord(name))))
    (data / "provenance.csv").write_text("file,museum\na/0.png,Prado\n", encoding="utf-8")
    assert [row.file for row in read(data, tmp_path / "cache").left_out] == ["provenance.csv"]


def test_training_takes_what_was_exported(tmp_path: Path) -> None:
    labels = [(name,) for name in ("pear", "fig") for _ in range(12)]
    store = filled(tmp_path / "c.sqlite", *labels)
    data = distingo.export_corrections(store.path, tmp_path / "data")
    run = distingo.train(data.folder, tmp_path / "run", model="descriptors", cache=tmp_path / "cache")
    assert run.evaluation.n > 0
    assert set(run.evaluation.classes) == {"pear", "fig"}
