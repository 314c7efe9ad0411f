"""Which folder is which class, on which split."""

from __future__ import annotations

import gzip
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import encode, idx_bytes, noise

from distingo.datasets.decoding.decode import open_source
from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.walking import source_of
from distingo.errors import DataError, ErrorCode
from raising import raises


def test_class_folders_with_nested_folders_and_unicode(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"Käse": 1, "犬/klein": 2, "犬": 1})
    (root / "readme.txt").write_text("about")
    layout = find_layout(root)
    assert (str(layout.name), layout.classes) == ("class folders", ("Käse", "犬"))
    assert [(entry.source.file, entry.labels, entry.split) for entry in layout.candidates] == [
        ("Käse/000.png", ("Käse",), None),
        ("犬/000.png", ("犬",), None),
        ("犬/klein/000.png", ("犬",), None),
        ("犬/klein/001.png", ("犬",), None),
    ]
    assert [(row.file, row.status, str(row.reason)) for row in layout.ignored] == [
        ("readme.txt", "ignored", "is in no class folder")
    ]


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "val", "test"), {"train", "validation", "test"}),
        (("Train", "VALID", "Test"), {"train", "validation", "test"}),
        (("train", "validation"), {"train", "validation"}),
        (("train", "test"), {"train", "test"}),
        (("train",), {"train"}),
        (("test",), {"test"}),
    ],
)
def test_split_folders_in_any_spelling(
    class_folders: Callable[..., Path], folders: tuple[str, ...], splits: set[str]
) -> None:
    root = class_folders({f"{folder}/{name}": 1 for folder in folders for name in ("a", "b/deep")})
    layout = find_layout(root)
    assert (str(layout.name), layout.classes) == ("split folders", ("a", "b"))
    assert {entry.split for entry in layout.candidates} == splits
    assert len(layout.candidates) == 2 * len(folders)


def test_what_lies_beside_split_folders_is_ignored(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"train/a": 1, "train/b": 1, "test": 2, "extra": 1})
    layout = find_layout(root)
    assert [entry.source.file for entry in layout.candidates] == ["train/a/000.png", "train/b/000.png"]
    assert {row.file: str(row.reason) for row in layout.ignored} == {
        "extra/000.png": "is outside train, validation and test",
        "test/000.png": "is in no class folder",
        "test/001.png": "is in no class folder",
    }


def test_a_class_may_be_called_train(class_folders: Callable[..., Path]) -> None:
    layout = find_layout(class_folders({"bus": 1, "train": 1}))
    assert (str(layout.name), layout.classes) == ("class folders", ("bus", "train"))


def test_one_name_in_two_unicode_forms_is_one_class(class_folders: Callable[..., Path]) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    root = class_folders({f"train/{composed}": 1, f"test/{decomposed}": 1, "train/b": 1})
    assert find_layout(root).classes == ("b", composed)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(idx_folder: Callable[..., Path], packed: bool) -> None:
    root = idx_folder(packed=packed)
    (root / "readme.md").write_text("about")
    layout = find_layout(root)
    assert (str(layout.name), layout.classes, len(layout.candidates)) == ("IDX files", ("0", "1", "2"), 42)
    last = layout.candidates[41]
    assert (last.source.file, last.source.index) == (f"train-images-idx3-ubyte{'.gz' * packed}#29", 29)
    assert (last.labels, last.split) == (("2",), "train")
    assert [entry.split for entry in layout.candidates] == ["test"] * 12 + ["train"] * 30
    assert sorted(row.file.removesuffix(".gz") for row in layout.ignored) == [
        "readme.md",
        "t10k-labels-idx1-ubyte",
        "train-labels-idx1-ubyte",
    ]


@pytest.mark.parametrize(("train", "test", "split"), [(9, 0, "train"), (0, 9, "test")])
def test_one_pair_of_idx_files_is_enough(idx_folder: Callable[..., Path], train: int, test: int, split: str) -> None:
    layout = find_layout(idx_folder(train, test))
    assert [entry.split for entry in layout.candidates] == [split] * 9


def test_a_packed_and_an_unpacked_copy_count_once(idx_folder: Callable[..., Path]) -> None:
    root = idx_folder(packed=False)
    name = "train-images-idx3-ubyte"
    (root / f"{name}.gz").write_bytes(gzip.compress((root / name).read_bytes()))
    layout = find_layout(root)
    assert len(layout.candidates) == 42
    assert {row.file: str(row.reason) for row in layout.ignored}[f"{name}.gz"] == f"the packed form of {name}"


def test_the_spelling_with_dots_is_known(tmp_path: Path) -> None:
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx_bytes(np.zeros((4, 3, 3))))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1, 0, 1])))
    assert len(find_layout(tmp_path).candidates) == 4


def test_idx_files_that_do_not_fit_are_refused(idx_folder: Callable[..., Path]) -> None:
    root = idx_folder(packed=False)
    labels = root / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.zeros(29)))
    with raises(DataError, code="labels_differ"):
        find_layout(root)
    labels.unlink()
    with raises(DataError, code="missing_labels"):
        find_layout(root)


def test_idx_files_of_two_datasets_are_refused(idx_folder: Callable[..., Path]) -> None:
    root = idx_folder(packed=False)
    for kind in ("images-idx3", "labels-idx1"):
        (root / f"emnist-letters-train-{kind}-ubyte").write_bytes((root / f"train-{kind}-ubyte").read_bytes())
    with raises(DataError, code="ambiguous_folders"):
        find_layout(root)


def test_bad_folders_are_refused_in_one_line(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").write_bytes(encode(noise(1)))
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    cases: dict[Path, ErrorCode] = {
        tmp_path / "gone": "not_found",
        tmp_path / "empty": "empty_folder",
        tmp_path / "file": "not_a_folder",
        tmp_path / "flat": "no_images",
        tmp_path / "hollow": "empty_class",
        class_folders({"only": 3}, "one"): "too_few_classes",
    }
    for root, code in cases.items():
        with raises(DataError, code=code) as caught:
            find_layout(root)
        assert str(caught.value).startswith(str(root))
        assert "\n" not in str(caught.value)


def test_an_empty_class_folder_is_named(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 1, "b": 1, "c": 0})
    with raises(DataError, code="empty_class", naming="'c'"):
        find_layout(root)


def test_a_class_may_be_empty_on_one_side(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 0})
    assert find_layout(root).classes == ("a", "b")


def test_every_source_can_be_found_again_by_its_name(
    class_folders: Callable[..., Path], idx_folder: Callable[..., Path]
) -> None:
    root = class_folders({"a": 1, "b#3": 1})
    strange = root / "a" / os.fsdecode(b"caf\xe9#7.png")
    strange.write_bytes(encode(noise(99)))
    for folder in (root, idx_folder()):
        for entry in find_layout(folder).candidates:
            assert source_of(folder, entry.source.file) == entry.source
            open_source(entry.source)


def test_a_download_that_has_not_finished_is_refused(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 1, "b": 1})
    (root / ".distingo-download").mkdir()
    (root / ".distingo-download" / "source.json").write_text("{}")
    (root / "manifest.csv").write_text("file,name\na,b\n")
    with raises(DataError, code="unfinished"):
        find_layout(root)
    (root / ".distingo-download" / "finished").touch()
    layout = find_layout(root)
    assert layout.classes == ("a", "b")
    assert layout.notes == ()
    assert {row.file for row in layout.ignored if row.is_own} == {
        ".distingo-download/finished",
        ".distingo-download/source.json",
        "manifest.csv",
    }


def test_a_manifest_of_a_persons_own_is_no_file_of_ours(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 1, "b": 1})
    (root / "manifest.csv").write_text("x,y\n1,2\n")
    assert [row.is_own for row in find_layout(root).ignored] == [False]
