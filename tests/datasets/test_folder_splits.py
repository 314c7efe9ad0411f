"""Which folders are splits, which are classes, and what a person has to decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from distingo.datasets.folder_splits import parse_splits
from distingo.datasets.layouts import find_layout
from distingo.datasets.split_names import are_numbered_parts, is_unlabelled_name, side_of_name, side_of_path
from distingo.datasets.tables import TableOptions
from distingo.errors import DataError, UsageError
from distingo.records import Side


@pytest.mark.parametrize(
    ("names", "side"),
    [
        (("train", "Train", "TRAINING", "training_set", "TrainingSet", "train-images", "train_data"), "train"),
        (("trainset", "entrenamiento", "Conjunto de entrenamiento", "训练集", "train_labels", "imgs_train"), "train"),
        (("val", "Valid", "VALIDATION", "dev", "eval", "val_set", "validación", "validação", "验证集"), "validation"),
        (("test", "Testing", "test_set", "testset", "holdout", "hold-out", "Hold_Out", "held out", "prueba"), "test"),
    ],
)
def test_a_name_that_says_nothing_else_is_a_split(names: Sequence[str], side: Side) -> None:
    assert {name: side_of_name(name) for name in names} == dict.fromkeys(names, side)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("seg_train", "train"),
        ("01_train", "train"),
        ("val2017", "validation"),
        ("test1", "test"),
        ("ILSVRC2012_img_val", "validation"),
        ("train_station", "train"),
        ("train_test", None),
        ("trainer", None),
        ("latest", None),
        ("contest", None),
        ("device", None),
        ("cat", None),
        ("", None),
    ],
)
def test_a_name_with_other_words_may_be_a_split_and_one_inside_of_a_word_is_none(name: str, side: Side | None) -> None:
    assert side_of_name(name) is None
    assert side_of_name(name, loose=True) == side


def test_other_names_are_understood() -> None:
    assert [side_of_path(path) for path in ("Training/a/1.png", "train.png", "a/train/1.png")] == ["train", None, None]
    assert [is_unlabelled_name(name) for name in ("seg_pred", "sample_submission", "predator", "unlabeled")] == [
        True,
        True,
        False,
        True,
    ]
    assert are_numbered_parts(["images_001", "images_002"])
    assert not are_numbered_parts(["images_001"])
    assert not are_numbered_parts(["class_1", "class_2"])
    assert not are_numbered_parts(["0", "1"])
    assert not are_numbered_parts(["images_001", "masks_001"])


def test_splits_are_requested_in_words() -> None:
    assert parse_splits("none") == {}
    assert parse_splits("train=a, b,valid=c/d/, test = *") == {"a, b": "train", "c/d": "validation", "*": "test"}
    assert parse_splits("train=a,train=b") == {"a": "train", "b": "train"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no split and folder; write none, or train=FOLDER,test=FOLDER"),
        ("train=", "'train=' is no split and folder"),
        ("learn=a", "'learn=a' is no split and folder"),
        ("train=a,test=a", "'a' can't be on two splits; name it once"),
    ],
)
def test_a_request_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--splits .*{message}"):
        parse_splits(text)


def sides(root: Path, splits: str | None = None) -> dict[tuple[Side | None, tuple[str, ...]], int]:
    layout = find_layout(root, TableOptions(splits=splits))
    return dict(Counter((each.side, each.labels) for each in layout.candidates))


def test_what_is_not_named_like_a_split_is_asked_about_and_decided(class_folders: Callable[..., Path]) -> None:
    root = class_folders({f"{site}/{name}": 1 for site in ("paris", "rome") for name in ("cat", "dog")})
    with pytest.raises(DataError) as caught:
        find_layout(root)
    assert str(caught.value) == (
        f"{root}: its folders paris, rome hold the same folders (cat, dog); if those are the classes, name the splits "
        "by --splits train=paris,test=rome (or read all of them together by --splits train=*); if paris, rome are the "
        "classes, say so by --splits none"
    )
    assert sides(root, "train=paris,test=ROME") == {
        ("train", ("cat",)): 1,
        ("train", ("dog",)): 1,
        ("test", ("cat",)): 1,
        ("test", ("dog",)): 1,
    }
    assert sides(root, "test=rome,train=*") == sides(root, "train=paris,test=rome")
    assert sides(root, "train=*") == {("train", ("cat",)): 2, ("train", ("dog",)): 2}
    assert sides(root, "none") == {(None, ("paris",)): 2, (None, ("rome",)): 2}
    layout = find_layout(root, TableOptions(splits="test=rome"))
    assert layout.notes == (
        "split folders: rome (test)",
        "not read, because beside the split folders: paris (2 files)",
    )
    assert {row.reason for row in layout.ignored} == {"lies outside train, validation and test"}
    with pytest.raises(
        UsageError, match=r"--splits: .*data has no folder 'rom' with images in it; did you mean rome\?"
    ):
        find_layout(root, TableOptions(splits="test=rom"))


@pytest.mark.parametrize(
    "folders",
    [
        {"cat": 1, "dog/indoor": 1, "dog/outdoor": 1},
        {"cat/images": 1, "dog/images": 1},
        {"cat/indoor": 1, "cat/2019": 1, "dog/indoor": 1, "dog/garden": 1, "dog/2020": 1},
        {"cat/images": 1, "cat/masks": 1, "dog/images": 1, "dog/masks": 1},
    ],
)
def test_folders_in_class_folders_are_no_sign_by_themselves(
    class_folders: Callable[..., Path], folders: dict[str, int]
) -> None:
    assert find_layout(class_folders(folders)).classes == ("cat", "dog")


def test_a_class_that_is_called_like_a_split_and_holds_folders_is_asked_about(
    class_folders: Callable[..., Path],
) -> None:
    root = class_folders({"bus": 1, "car": 1, "train/steam": 1, "train/diesel": 1})
    with pytest.raises(DataError, match="its folder train may be a split, with the classes diesel, steam, or a class"):
        find_layout(root)
    assert find_layout(root, TableOptions(splits="none")).classes == ("bus", "car", "train")
    assert find_layout(root, TableOptions(splits="train=train")).classes == ("diesel", "steam")


def test_flat_folders_of_splits_are_never_classes_unasked(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"Training": 2, "Testing": 1})
    with pytest.raises(DataError, match="Training, Testing are named like splits and hold neither class folders nor"):
        find_layout(root)
    assert find_layout(root, TableOptions(splits="none")).classes == ("Testing", "Training")
    layout = find_layout(root, as_it_comes=True)
    assert (layout.name, layout.classes) == ("pictures without classes", ())
    assert Counter(each.side for each in layout.candidates) == {"train": 2, "test": 1}


def test_wrappers_and_doubled_folders_are_seen_through(class_folders: Callable[..., Path]) -> None:
    root = class_folders({f"zip/data/{side}/{side}/{name}": 1 for side in ("Train", "DEV") for name in "ab"})
    layout = find_layout(root)
    assert layout.notes == (
        "split folders: zip/data/Train/Train (train), zip/data/DEV/DEV (validation)",
        "no folder is the test split; training cuts it from the train split",
    )
    assert Counter(each.side for each in layout.candidates) == {"train": 2, "validation": 2}


def test_an_empty_class_folder_inside_of_a_split_is_named(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"Training/a": 1, "Training/b": 1, "Training/c": 0, "Testing/a": 1, "Testing/b": 0})
    with pytest.raises(DataError, match="class folder 'c' is empty"):
        find_layout(root)


def test_options_about_folders_are_refused_where_there_are_none(
    tmp_path: Path, idx_folder: Callable[..., Path], class_folders: Callable[..., Path]
) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na.png,x\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"--splits: is about folders, and .*labels.csv is a table; leave it out"):
        find_layout(tmp_path / "labels.csv", TableOptions(splits="none"))
    with pytest.raises(UsageError, match=r"--labels-from: is about folders, and .*idx holds IDX files"):
        find_layout(idx_folder(), TableOptions(labels_from="folders"))
    with pytest.raises(UsageError, match="holds no table for --labels-from table"):
        find_layout(class_folders({"a": 1, "b": 1}), TableOptions(labels_from="table"))
