"""Corrections: read strictly, found by themselves, honored before copies are evaluated."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from drawing import encode, noise
from hypothesis import given
from hypothesis import strategies as st

from distingo.datasets.cache.store import Cache
from distingo.datasets.corrections import (
    Correction,
    Corrections,
    find_corrections,
    read_corrections,
    write_corrections,
)
from distingo.datasets.gathering import read_dataset, survey
from distingo.datasets.options import Reading
from distingo.errors import DataError, ErrorCode
from distingo.files import content_hash
from distingo.messages.notes import note
from distingo.records import Dataset, ManifestRow
from note_texts import texts
from raising import raises


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Dataset]:
    def reading(root: Path, **options: object) -> Dataset:
        said = {name: options.pop(name) for name in ("corrections", "table") if name in options}
        return read_dataset(root, Reading(cache=Cache(tmp_path / "cache"), **said), **options)

    return reading


def correct(root: Path, *entries: Correction, name: str = "corrections.csv") -> Path:
    write_corrections(Corrections(root / name, entries))
    return root / name


def normal(label: str) -> str:
    return unicodedata.normalize("NFC", label)


def row(dataset: Dataset, file: str) -> ManifestRow:
    (found,) = [row for row in dataset.manifest if row.file == file]
    return found


def labels(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {image.source.file: image.labels for image in dataset.images}


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1)


@given(st.dictionaries(_TEXT, st.lists(_TEXT, max_size=3)))
def test_corrections_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, said: dict) -> None:
    entries = tuple(
        Correction(file, "relabel", tuple(sorted(set(each))), "0" * 32, ("label", "dark"), "2025-01-31T12:00:00+00:00")
        for file, each in said.items()
    )
    path = tmp_path_factory.getbasetemp() / "written.csv"
    write_corrections(Corrections(path, entries))
    again = read_corrections(path).entries
    assert [entry.file for entry in again] == [entry.file for entry in entries]
    assert all({normal(label) for label in said[entry.file]} == set(entry.labels) for entry in again)
    write_corrections(Corrections(path, again))
    assert read_corrections(path).entries == again


def test_a_person_may_write_them_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    text = '\ufeffFile,Action,labels\r\na/1.png,relabel,Äpfel|"b"\r\n\r\n"b/2, x.png",quarantine,\r\n'
    path.write_bytes(text.encode())
    first, second = read_corrections(path).entries
    assert (first.file, first.labels, first.content, first.line) == ("a/1.png", ('"b"', "Äpfel"), "", 2)
    assert (second.file, second.action, second.line) == ("b/2, x.png", "quarantine", 4)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("file,labels\n", "missing_column"),
        ("file,action,label\n", "unknown_column"),
        ("file,action,action\n", "duplicate_entry"),
        ("file,action\na.png,kep\n", "damaged_line"),
        ("file,action\n,keep\n", "damaged_line"),
        ("file,action\na.png\n", "damaged_line"),
        (
            "file,action,labels\na.png,keep,x\n",
            "damaged_line",
        ),
        ("file,action,content\na.png,keep,1.2E+5\n", "damaged_line"),
        (
            "file,action,kinds\na.png,keep,dark; Blurred\n",
            "damaged_line",
        ),
        ("file,action,at\na.png,keep,yesterday\n", "damaged_line"),
        ("file,action\na.png,keep\nb.png,keep\na.png,keep\n", "duplicate_entry"),
        ('file,action\n"a.png,keep\n', "damaged_line"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, code: ErrorCode) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text(text, encoding="utf-8")
    with raises(DataError, code=code):
        read_corrections(path)


def test_a_table_that_was_named_must_be_there(tmp_path: Path) -> None:
    with raises(DataError, code="not_found", naming="mine.csv"):
        find_corrections(tmp_path, tmp_path / "mine.csv")
    assert find_corrections(tmp_path) is None
    correct(tmp_path)
    assert find_corrections(tmp_path) == Corrections(tmp_path / "corrections.csv", ())
    assert find_corrections(tmp_path, "none") is None


def test_images_are_relabeled_and_set_aside(class_folders: Callable[..., Path], read: Callable[..., Dataset]) -> None:
    root = class_folders({"a": 4, "b": 4})
    hashes = {name: content_hash((root / name).read_bytes()) for name in ("a/000.png", "b/001.png", "b/002.png")}
    correct(
        root,
        Correction("a/000.png", "relabel", ("b",), hashes["a/000.png"], ("label",)),
        Correction("b/001.png", "quarantine", (), hashes["b/001.png"], ("dark", "blurred")),
        Correction("b/002.png", "keep", (), hashes["b/002.png"], ("dark",)),
    )
    dataset = read(root)
    assert labels(dataset)["a/000.png"] == ("b",)
    assert "b/001.png" not in labels(dataset)
    aside = row(dataset, "b/001.png")
    assert (aside.status, str(aside.reason)) == ("ignored", "set aside by line 3 of corrections.csv (dark, blurred)")
    assert (aside.format, aside.width, aside.content) == ("PNG", 12, hashes["b/001.png"])
    assert texts(dataset.notes) == ("corrections.csv: 1 picture relabeled, 1 set aside, 1 kept",)
    own = row(dataset, "corrections.csv")
    assert (own.status, str(own.reason)) == ("ignored", "holds corrections")
    assert len(dataset.manifest) == 9
    assert labels(read(root, corrections="none"))["a/000.png"] == ("a",)
    other = correct(root.parent, Correction("a/001.png", "quarantine"), name="other.csv")
    assert set(labels(read(root, corrections=other))) == set(labels(read(root, corrections="none"))) - {"a/001.png"}


def test_a_contradiction_is_resolved(class_folders: Callable[..., Path], read: Callable[..., Dataset]) -> None:
    root = class_folders({"a": 3, "b": 3})
    (root / "b" / "twin.png").write_bytes((root / "a" / "000.png").read_bytes())
    assert row(read(root), "b/twin.png").status == "conflict"
    correct(root, Correction("b/twin.png", "relabel", ("a",)))
    dataset = read(root)
    assert row(dataset, "a/000.png").status == "used"
    assert (row(dataset, "b/twin.png").status, row(dataset, "b/twin.png").same_as) == ("duplicate", "a/000.png")
    correct(root, Correction("a/000.png", "quarantine"))
    assert row(read(root), "b/twin.png").status == "used"


def test_what_no_longer_fits_is_said(class_folders: Callable[..., Path], read: Callable[..., Dataset]) -> None:
    root = class_folders({"apple": 3, "pear": 3})
    correct(
        root,
        Correction("apple/000.png", "relabel", ("pear",), "0" * 32),
        Correction("apple/gone.png", "quarantine"),
        Correction("apple/001.png", "relabel", ("pears",)),
    )
    dataset = read(root)
    assert labels(dataset)["apple/000.png"] == ("apple",)
    assert dataset.classes == ("apple", "pear", "pears")
    assert texts(dataset.notes) == (
        "corrections.csv: 1 picture relabeled, 0 set aside",
        "corrections.csv: 1 correction is not applied, as the file has changed since (line 2, apple/000.png)",
        f"corrections.csv: 1 correction is about files that are not in {root} (line 3, apple/gone.png)",
        "corrections.csv: 'pears' becomes a class, which no other picture has (1 picture); did you mean pear?",
    )


def test_a_class_may_vanish_but_two_must_be_left(
    class_folders: Callable[..., Path], read: Callable[..., Dataset]
) -> None:
    root = class_folders({"a": 2, "b": 2, "c": 1})
    correct(root, Correction("c/000.png", "relabel", ("a",)))
    dataset = read(root)
    assert dataset.classes == ("a", "b")
    assert "corrections.csv: leaves 'c' without a picture" in texts(dataset.notes)
    correct(root, *[Correction(f"{name}.png", "quarantine") for name in ("b/000", "b/001", "c/000")])
    with raises(DataError, code="too_few_classes", parameter="corrections", naming="corrections.csv"):
        read(root)


@pytest.mark.parametrize("given", [(), ("a", "b")])
def test_a_single_label_task_takes_exactly_one(
    class_folders: Callable[..., Path], read: Callable[..., Dataset], given: tuple[str, ...]
) -> None:
    root = class_folders({"a": 2, "b": 2})
    correct(root, Correction("a/000.png", "relabel", given))
    with raises(
        DataError, code="task_differs", parameter="corrections", naming=("corrections.csv", "line 2", "a/000.png")
    ):
        read(root)


def _table(root: Path, rows: list[tuple[str, str]]) -> Path:
    root.mkdir()
    for number, name in enumerate(sorted({name for name, _ in rows})):
        (root / name).write_bytes(encode(noise(number)))
    with (root / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "tags"), *rows])
    return root


def test_several_labels_are_corrected(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    rows = [("1.png", "x|y"), ("2.png", "x"), ("3.png", ""), ("4.png", "z|y"), ("5.png", "z")]
    root = _table(tmp_path / "data", rows)
    correct(root, Correction("1.png", "relabel", ("y", "z")), Correction("2.png", "relabel", ()))
    correct_names = {"1.png": ("y", "z"), "2.png": (), "3.png": (), "4.png": ("y", "z"), "5.png": ("z",)}
    for data in (root, root / "labels.csv"):
        dataset = read(data)
        assert (dataset.task, dataset.classes) == ("multi-label", ("y", "z"))
        assert labels(dataset) == correct_names
        assert "corrections.csv: 2 pictures relabeled, 0 set aside" in texts(dataset.notes)
        assert str(row(dataset, "corrections.csv").reason) == "holds corrections"


def test_rows_that_contradict_each_other_are_resolved(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    rows = [(f"{n}.png", "xy"[n % 2]) for n in range(20)]
    root = _table(tmp_path / "data", [*rows, ("0.png", "y")])
    assert row(read(root), "0.png").status == "conflict"
    hashed = content_hash((root / "0.png").read_bytes())
    correct(root, Correction("0.png", "relabel", ("y",), hashed, ("contradiction",)))
    dataset = read(root)
    assert (row(dataset, "0.png").status, labels(dataset)["0.png"]) == ("used", ("y",))
    correct(root, Correction("0.png", "relabel", ("y",), "0" * 32))
    assert row(read(root), "0.png").status == "conflict"


def test_entries_of_idx_files_are_corrected(idx_folder: Callable[..., Path], read: Callable[..., Dataset]) -> None:
    root = idx_folder()
    first = "train-images-idx3-ubyte.gz#0"
    content = row(read(root), first).content
    correct(root, Correction(first, "relabel", ("2",), content), Correction(first[:-1] + "1", "quarantine"))
    dataset = read(root)
    assert labels(dataset)[first] == ("2",)
    assert first[:-1] + "1" not in labels(dataset)
    assert str(row(dataset, "corrections.csv").reason) == "holds corrections"


def test_a_file_outside_the_classes_is_given_one(
    class_folders: Callable[..., Path], read: Callable[..., Dataset]
) -> None:
    root = class_folders({"a": 2, "b": 2})
    (root / "loose.png").write_bytes(encode(noise(99)))
    correct(root, Correction("loose.png", "relabel", ("a",)))
    dataset = read(root)
    assert labels(dataset)["loose.png"] == ("a",)
    assert row(dataset, "loose.png").status == "used"


def test_a_table_of_ones_own_by_that_name_is_read_as_labels(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    root = _table(tmp_path / "data", [("1.png", "x"), ("2.png", "y")])
    (root / "labels.csv").rename(root / "corrections.csv")
    assert labels(read(root)) == {"1.png": ("x",), "2.png": ("y",)}


def test_corrections_are_no_data_set(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 2, "b": 2})
    path = correct(root, Correction("a/000.png", "keep"))
    with raises(DataError, code="wrong_format", parameter="data"):
        survey(path)
    assert survey(root).count == 4


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_what_a_spreadsheet_saves_is_read(
    class_folders: Callable[..., Path], read: Callable[..., Dataset], delimiter: str, encoding: str
) -> None:
    root = class_folders({"Äpfel": 2, "b": 2})
    text = "file,action,labels\r\nb/000.png,relabel,Äpfel\r\nb/001.png,keep,\r\n".replace(",", delimiter)
    (root / "corrections.csv").write_bytes(text.encode(encoding))
    assert labels(read(root))["b/000.png"] == ("Äpfel",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_file"),
        ("picture,action\na/000.png,keep\n", "missing_column"),
        ("a/000.png\n", "missing_column"),
    ],
)
def test_a_table_by_that_name_is_never_passed_over(
    class_folders: Callable[..., Path], read: Callable[..., Dataset], text: str, code: ErrorCode
) -> None:
    root = class_folders({"a": 2, "b": 2})
    (root / "corrections.csv").write_text(text, encoding="utf-8")
    for said in (None, root / "corrections.csv"):
        with raises(DataError, code=code):
            read(root, corrections=said)
    assert row(read(root, corrections="none"), "corrections.csv").reason == note("holds-corrections")


def test_a_table_of_labels_beside_class_folders_stays_one(
    class_folders: Callable[..., Path], read: Callable[..., Dataset]
) -> None:
    root = class_folders({"a": 2, "b": 2})
    (root / "corrections.csv").write_text("image,label\na/000.png,b\n", encoding="utf-8")
    assert any("corrections.csv is not read (give it as DATA" in note for note in texts(read(root).notes))


def test_paths_may_be_written_with_a_dot_or_backslashes(
    class_folders: Callable[..., Path], read: Callable[..., Dataset]
) -> None:
    root = class_folders({"a": 3, "b": 3})
    (root / "a" / "x\\y.png").write_bytes(encode(noise(77)))
    rows = ["./a/000.png", "b\\000.png", "a/x\\y.png", *[f"b/gone{number}.png" for number in range(7)]]
    table = "file,action\n" + "".join(f"{file},quarantine\n" for file in rows)
    (root / "corrections.csv").write_text(table, encoding="utf-8")
    dataset = read(root)
    assert set(labels(dataset)) == {"a/001.png", "a/002.png", "b/001.png", "b/002.png"}
    named = "; ".join(f"line {number + 5}, b/gone{number}.png" for number in range(5))
    assert f"corrections.csv: 7 corrections are about files that are not in {root} ({named}; and 2 more)" in texts(
        dataset.notes
    )
    (root / "corrections.csv").write_text("file,action\na/000.png,keep\n.\\a\\000.png,keep\n", encoding="utf-8")
    with raises(DataError, code="duplicate_entry", naming="a/000.png"):
        read(root)


def test_a_class_that_only_corrections_make_is_traced_to_them(
    class_folders: Callable[..., Path], read: Callable[..., Dataset]
) -> None:
    root = class_folders({"a": 3, "b": 3})
    (root / "a" / "page.png").write_bytes(b"<!DOCTYPE html><html></html>")
    path = correct(root, Correction("a/001.png", "keep"), Correction("a/page.png", "relabel", ("new",)))
    with raises(DataError, code="empty_class", naming=("a/page.png", str(path))):
        read(root)
