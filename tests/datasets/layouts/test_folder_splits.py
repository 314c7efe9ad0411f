"""Which folders are splits, which are classes, and what a person has to decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.layouts.folder_splits import parse_splits
from distingo.datasets.tables.table import TableOptions
from distingo.datasets.walking import are_numbered_parts, is_unlabeled_name, split_of_name, split_of_path
from distingo.errors import DataError, ErrorCode, UsageError
from distingo.records import SplitName
from note_texts import texts
from raising import raises


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train", "Train", "TRAINING", "training_set", "TrainingSet", "train-images", "train_data"), "train"),
        (("trainset", "entrenamiento", "Conjunto de entrenamiento", "训练集", "train_labels", "imgs_train"), "train"),
        (("val", "Valid", "VALIDATION", "dev", "eval", "val_set", "validación", "validação", "验证集"), "validation"),
        (("test", "Testing", "test_set", "testset", "holdout", "hold-out", "Hold_Out", "held out", "prueba"), "test"),
    ],
)
def test_a_name_that_says_nothing_else_is_a_split(names: Sequence[str], split: SplitName) -> None:
    assert {name: split_of_name(name) for name in names} == dict.fromkeys(names, split)


@pytest.mark.parametrize(
    ("name", "split"),
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
def test_a_name_with_other_words_may_be_a_split_and_one_inside_of_a_word_is_none(
    name: str, split: SplitName | None
) -> None:
    assert split_of_name(name) is None
    assert split_of_name(name, loose=True) == split


def test_other_names_are_understood() -> None:
    assert [split_of_path(path) for path in ("Training/a/1.png", "train.png", "a/train/1.png")] == ["train", None, None]
    assert [is_unlabeled_name(name) for name in ("seg_pred", "sample_submission", "predator", "unlabeled")] == [
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
    ("text", "code"),
    [
        ("", "invalid_value"),
        ("train=", "invalid_value"),
        ("learn=a", "invalid_value"),
        ("train=a,test=a", "named_twice"),
    ],
)
def test_a_request_that_is_none_is_refused(text: str, code: ErrorCode) -> None:
    with raises(UsageError, code=code, parameter="splits"):
        parse_splits(text)


def splits(root: Path, splits: str | None = None) -> dict[tuple[SplitName | None, tuple[str, ...]], int]:
    layout = find_layout(root, TableOptions(splits=splits))
    return dict(Counter((each.split, each.labels) for each in layout.candidates))


def test_what_is_not_named_like_a_split_is_asked_about_and_decided(class_folders: Callable[..., Path]) -> None:
    root = class_folders({f"{site}/{name}": 1 for site in ("paris", "rome") for name in ("cat", "dog")})
    with raises(DataError, code="ambiguous_folders") as caught:
        find_layout(root)
    assert str(caught.value) == (
        f"{root}: its folders paris, rome hold the same folders (cat, dog); if those are the classes, name the splits "
        "by splits train=paris,test=rome (or read all of them together by splits train=*); if paris, rome are the "
        "classes, say so by splits none"
    )
    assert splits(root, "train=paris,test=ROME") == {
        ("train", ("cat",)): 1,
        ("train", ("dog",)): 1,
        ("test", ("cat",)): 1,
        ("test", ("dog",)): 1,
    }
    assert splits(root, "test=rome,train=*") == splits(root, "train=paris,test=rome")
    assert splits(root, "train=*") == {("train", ("cat",)): 2, ("train", ("dog",)): 2}
    assert splits(root, "none") == {(None, ("paris",)): 2, (None, ("rome",)): 2}
    layout = find_layout(root, TableOptions(splits="test=rome"))
    assert texts(layout.notes) == (
        "split folders: rome (test)",
        "not read, because next to the split folders: paris (2 files)",
    )
    assert {str(row.reason) for row in layout.ignored} == {"is outside train, validation and test"}
    with raises(UsageError, code="unknown_name", parameter="splits", naming="'rom'"):
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


Read = dict[tuple[SplitName | None, tuple[str, ...]], int]


@dataclass(frozen=True)
class Asked:
    """Folders with an image each, the question about them, and what the options in it read."""

    folders: Sequence[str]
    question: str
    options: dict[str, Read]


SITES = [
    f"{site}/{split}/{name}" for site in ("paris", "rome") for split in ("train", "test") for name in ("cat", "dog")
]
DIVIDED = [f"{name}/{split}" for name in ("cat", "dog") for split in ("train", "test")]

ASKED = {
    "splits below sites": Asked(
        SITES,
        "its folders paris, rome hold the same folders (cat, dog) in their split folders; if those are the classes, "
        'read all of them together by splits "train=*/train,test=*/test" (or only paris by splits '
        "train=paris/train,test=paris/test); if paris, rome are the classes, say so by splits "
        '"train={class}/train,test={class}/test"',
        {
            "train=*/train,test=*/test": {
                (split, (name,)): 2 for split in ("train", "test") for name in ("cat", "dog")
            },
            "train=paris/train,test=paris/test": {
                (split, (name,)): 1 for split in ("train", "test") for name in ("cat", "dog")
            },
            "train=*/train,test=*/test,validation=rome/test": {
                ("train", ("cat",)): 2,
                ("train", ("dog",)): 2,
                ("test", ("cat",)): 1,
                ("test", ("dog",)): 1,
                ("validation", ("cat",)): 1,
                ("validation", ("dog",)): 1,
            },
            "train={class}/train,test={class}/test": {
                (split, (site,)): 2 for split in ("train", "test") for site in ("paris", "rome")
            },
            "none": {(None, ("paris",)): 4, (None, ("rome",)): 4},
        },
    ),
    "splits below sites in a folder around them": Asked(
        [f"zip/{folder}" for folder in SITES],
        "its folders zip/paris, zip/rome hold the same folders (cat, dog) in their split folders; if those are the "
        'classes, read all of them together by splits "train=zip/*/train,test=zip/*/test" (or only zip/paris by '
        "splits train=zip/paris/train,test=zip/paris/test); if zip/paris, zip/rome are the classes, say so by "
        'splits "train=zip/{class}/train,test=zip/{class}/test"',
        {
            "train=zip/*/train,test=zip/*/test": {
                (split, (name,)): 2 for split in ("train", "test") for name in ("cat", "dog")
            },
            "train=zip/{class}/train,test=zip/{class}/test": {
                (split, (site,)): 2 for split in ("train", "test") for site in ("paris", "rome")
            },
        },
    ),
    "one split below sets": Asked(
        ["ds1/train/cat", "ds1/train/dog", "ds2/train/cat", "ds2/train/dog"],
        "its folders ds1, ds2 hold the same folders (cat, dog) in their split folders; if those are the classes, read "
        'all of them together by splits "train=*/train" (or only ds1 by splits train=ds1/train); if ds1, ds2 are '
        "the classes, say so by splits none",
        {
            "train=*/train": {("train", ("cat",)): 2, ("train", ("dog",)): 2},
            "train=ds1/train": {("train", ("cat",)): 1, ("train", ("dog",)): 1},
            "none": {(None, ("ds1",)): 2, (None, ("ds2",)): 2},
        },
    ),
    "one split below one of two sets": Asked(
        ["ds1/train/cat", "ds1/train/dog", "ds2/cat", "ds2/dog"],
        "its folders ds1, ds2 hold the same folders (cat, dog); if those are the classes, name the splits by splits "
        "train=ds1/train,train=ds2; if ds1, ds2 are the classes, say so by splits none",
        {"train=ds1/train,train=ds2": {("train", ("cat",)): 2, ("train", ("dog",)): 2}},
    ),
    "a folder around the classes of each set": Asked(
        ["ds1/Dataset/cat", "ds1/Dataset/dog", "ds2/Dataset/cat", "ds2/Dataset/dog"],
        "its folders ds1, ds2 hold the same folders (cat, dog); if those are the classes, name the splits by splits "
        "train=ds1,test=ds2 (or read all of them together by splits train=*); if ds1, ds2 are the classes, say so "
        "by splits none",
        {"train=*": {("train", ("cat",)): 2, ("train", ("dog",)): 2}},
    ),
    "images and masks in splits": Asked(
        ["images/train", "images/val", "masks/train", "masks/val"],
        "its folders images, masks look like the parts of one set, not like classes; give the one with the images as "
        "data, or take them for classes by splits none",
        {"none": {(None, ("images",)): 2, (None, ("masks",)): 2}},
    ),
    "images and masks beside others": Asked(
        ["docs", "images/train", "images/val", "masks/train", "masks/val"],
        "its folders images, masks look like the parts of one set, not like classes; give the one with the images as "
        "data, or take them for classes by splits none",
        {"none": {(None, ("docs",)): 1, (None, ("images",)): 2, (None, ("masks",)): 2}},
    ),
    "a site without one of the classes": Asked(
        ["a/benign", "a/malignant", "b/benign", "b/malignant", "c/benign"],
        "2 of its 3 folders (a, b) hold the same folders (benign, malignant); if those are the classes, name the "
        "splits by splits test=b,train=* (or read all of them together by splits train=*); if a, b and 1 more are "
        "the classes, say so by splits none",
        {
            "test=b,train=*": {
                ("train", ("benign",)): 2,
                ("train", ("malignant",)): 1,
                ("test", ("benign",)): 1,
                ("test", ("malignant",)): 1,
            },
            "train=*": {("train", ("benign",)): 3, ("train", ("malignant",)): 2},
        },
    ),
    "sites in a folder around them": Asked(
        ["zip/a/cat", "zip/a/dog", "zip/b/cat", "zip/b/dog", "zip/c/cat", "zip/c/dog"],
        "its folders zip/a, zip/b, zip/c hold the same folders (cat, dog); if those are the classes, name the splits "
        "by splits test=zip/c,train=zip/* (or read all of them together by splits train=zip/*); if zip/a, zip/b "
        "and 1 more are the classes, say so by splits none",
        {
            "test=zip/c,train=zip/*": {
                ("train", ("cat",)): 2,
                ("train", ("dog",)): 2,
                ("test", ("cat",)): 1,
                ("test", ("dog",)): 1,
            },
            "train=zip/*": {("train", ("cat",)): 3, ("train", ("dog",)): 3},
            "none": {(None, ("a",)): 2, (None, ("b",)): 2, (None, ("c",)): 2},
        },
    ),
    "sites beside the images of a text": Asked(
        ["a/benign", "a/malignant", "b/benign", "b/malignant", "docs"],
        "2 of its 3 folders (a, b) hold the same folders (benign, malignant); if those are the classes, name the "
        "splits by splits test=b,train=* (or read all of them together by splits train=*); if a, b and 1 more are "
        "the classes, say so by splits none",
        {"train=*": {("train", ("benign",)): 2, ("train", ("malignant",)): 2}},
    ),
    "a set of splits beside the images of a text": Asked(
        ["dataset/train/cat", "dataset/train/dog", "dataset/test/cat", "dataset/test/dog", "docs"],
        "its folder dataset holds folders (cat, dog), and next to it are only loose images (docs); if the folders in "
        "dataset are the classes, give it as data or say so by splits train=dataset/train,test=dataset/test; if "
        "dataset and docs are the classes, say so by splits none",
        {
            "train=dataset/train,test=dataset/test": {
                (split, (name,)): 1 for split in ("train", "test") for name in ("cat", "dog")
            },
            "none": {(None, ("dataset",)): 4, (None, ("docs",)): 1},
        },
    ),
    "a set beside the images of a text": Asked(
        ["flowers/rose", "flowers/tulip", "assets/screenshots"],
        "its folder flowers holds folders (rose, tulip), and next to it are only loose images (assets); if the folders "
        "in flowers are the classes, give it as data or say so by splits train=flowers; if flowers and assets are "
        "the classes, say so by splits none",
        {
            "train=flowers": {("train", ("rose",)): 1, ("train", ("tulip",)): 1},
            "none": {(None, ("flowers",)): 2, (None, ("assets",)): 1},
        },
    ),
    "a set that is called one beside another folder": Asked(
        ["archive/data/cat", "archive/data/dog", "archive/other"],
        "its folder archive/data holds folders (cat, dog), and next to it are only loose images (archive/other); if "
        "the folders in archive/data are the classes, give it as data or say so by splits train=archive/data; if "
        "archive/data and archive/other are the classes, say so by splits none",
        {
            "train=archive/data": {("train", ("cat",)): 1, ("train", ("dog",)): 1},
            "none": {(None, ("data",)): 2, (None, ("other",)): 1},
        },
    ),
    "the class folders once more": Asked(
        ["cat", "dog", "archive/cat", "archive/dog", "__MACOSX/cat"],
        "its folder archive holds folders of the same names as those next to it (cat, dog); if it repeats the data "
        "set, move it away, or read it alone by splits train=archive; if archive is a class, say so by splits none",
        {
            "train=archive": {("train", ("cat",)): 1, ("train", ("dog",)): 1},
            "none": {(None, ("cat",)): 1, (None, ("dog",)): 1, (None, ("archive",)): 2},
        },
    ),
    "splits in all class folders but one": Asked(
        [*DIVIDED, "bird"],
        "not all of its folders are divided into splits: cat, dog into test, train, but not bird; read only what is "
        'divided by splits "train={class}/train,test={class}/test", or take every folder for a class without splits '
        "by splits none",
        {
            "train={class}/train,test={class}/test": {
                (split, (name,)): 1 for split in ("train", "test") for name in ("cat", "dog")
            },
            "none": {(None, ("cat",)): 2, (None, ("dog",)): 2, (None, ("bird",)): 1},
        },
    ),
    "splits in one class folder of two": Asked(
        ["cat/train", "cat/test", "dog"],
        "not all of its folders are divided into splits: cat into test, train, but not dog; divide dog too, or take "
        "every folder for a class without splits by splits none",
        {"none": {(None, ("cat",)): 2, (None, ("dog",)): 1}},
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_which_folders_are_the_classes_is_asked_and_every_option_in_the_question_works(
    class_folders: Callable[..., Path], name: str
) -> None:
    root = class_folders(dict.fromkeys(ASKED[name].folders, 1))
    with raises(DataError, code="ambiguous_folders") as caught:
        find_layout(root)
    assert str(caught.value) == f"{root}: {ASKED[name].question}"
    assert {text: splits(root, text) for text in ASKED[name].options} == ASKED[name].options


@pytest.mark.parametrize(
    "inside",
    [
        ("",),
        ("/camera_1", "/camera_2"),
        ("/2019", "/2020-05-01"),
        ("/session 1", "/session 2"),
        ("/images", "/masks"),
        ("/images",),
        ("/raw",),
    ],
)
def test_sources_and_dates_below_split_folders_are_no_classes(
    class_folders: Callable[..., Path], inside: Sequence[str]
) -> None:
    root = class_folders({f"{folder}{below}": 1 for folder in DIVIDED for below in inside})
    count = len(inside)
    assert splits(root) == {(split, (name,)): count for split in ("train", "test") for name in ("cat", "dog")}


def test_a_class_without_images_to_learn_from_keeps_the_splits_of_the_others(
    class_folders: Callable[..., Path],
) -> None:
    root = class_folders(dict.fromkeys([*DIVIDED, "bird/test"], 1))
    assert splits(root) == {
        ("train", ("cat",)): 1,
        ("train", ("dog",)): 1,
        ("test", ("bird",)): 1,
        ("test", ("cat",)): 1,
        ("test", ("dog",)): 1,
    }


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        ({"cat/indoor": 1, "cat/outdoor": 1, "dog/indoor": 1, "dog/outdoor": 1, "bird": 1}, ("bird", "cat", "dog")),
        ({"cat/2019": 1, "cat/2020": 1, "dog/2019": 1, "dog/2020": 1, "bird/2019": 1}, ("bird", "cat", "dog")),
        ({"photos/people": 1, "photos/houses": 1, "drawings": 1}, ("drawings", "photos")),
        ({"data/2019": 1, "data/2020": 1, "other": 1}, ("data", "other")),
        ({"cat/a": 60, "cat/b": 60, "dog": 3}, ("cat", "dog")),
        ({"cat/cat": 1, "dog/dog": 1, "bird": 1}, ("bird", "cat", "dog")),
        ({"docs": 1, "figures": 1}, ("docs", "figures")),
        ({"boxes": 1, "labels": 1, "bottles": 1}, ("bottles", "boxes", "labels")),
        ({"cat/train": 1, "dog/train": 1}, ("cat", "dog")),
        ({"cat/train/2019": 1, "cat/train/2020": 1, "dog/train/2019": 1, "dog/train/2020": 1}, ("cat", "dog")),
    ],
)
def test_ordinary_class_folders_raise_no_question(
    class_folders: Callable[..., Path], folders: dict[str, int], classes: Sequence[str]
) -> None:
    assert splits(class_folders(folders)) == {
        (None, (name,)): sum(count for folder, count in folders.items() if folder.split("/")[0] == name)
        for name in classes
    }


def test_a_folder_with_very_few_images_beside_one_set_is_asked_about(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"flowers/rose": 50, "flowers/tulip": 50, "teaser": 2})
    with raises(DataError, code="ambiguous_folders"):
        find_layout(root)


@pytest.mark.parametrize("around", ["", "zip/"])
def test_class_folders_that_a_model_knows_are_not_asked_about(class_folders: Callable[..., Path], around: str) -> None:
    root = class_folders({f"{around}{name}/{place}": 1 for name in ("cat", "dog") for place in ("indoor", "outdoor")})
    assert find_layout(root, known_classes=("bird", "cat", "dog")).classes == ("cat", "dog")
    with raises(DataError, code="too_few_classes" if around else "ambiguous_folders"):
        find_layout(root, known_classes=("indoor", "outdoor"))


def test_a_note_names_some_of_many_split_folders(class_folders: Callable[..., Path]) -> None:
    root = class_folders({f"site_{at:02}/train/{name}": 1 for at in range(14) for name in ("cat", "dog")})
    first = ", ".join(f"site_{at:02}/train (train)" for at in range(12))
    assert texts(find_layout(root, TableOptions(splits="train=*/train")).notes) == (
        f"split folders: {first} and 2 more",
    )


def test_a_path_with_a_star_that_stands_for_no_folder_is_refused(class_folders: Callable[..., Path]) -> None:
    root = class_folders(dict.fromkeys(SITES, 1))
    with raises(UsageError, code="unknown_name", parameter="splits"):
        find_layout(root, TableOptions(splits="train=*/trian"))


def test_a_class_that_is_called_like_a_split_and_holds_folders_is_asked_about(
    class_folders: Callable[..., Path],
) -> None:
    root = class_folders({"bus": 1, "car": 1, "train/steam": 1, "train/diesel": 1})
    with raises(DataError, code="ambiguous_folders"):
        find_layout(root)
    assert find_layout(root, TableOptions(splits="none")).classes == ("bus", "car", "train")
    assert find_layout(root, TableOptions(splits="train=train")).classes == ("diesel", "steam")


def test_flat_folders_of_splits_are_never_classes_unasked(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"Training": 2, "Testing": 1})
    with raises(DataError, code="ambiguous_folders"):
        find_layout(root)
    assert find_layout(root, TableOptions(splits="none")).classes == ("Testing", "Training")
    layout = find_layout(root, lenient=True)
    assert (str(layout.name), layout.classes) == ("pictures without classes", ())
    assert Counter(each.split for each in layout.candidates) == {"train": 2, "test": 1}


def test_wrappers_and_doubled_folders_are_seen_through(class_folders: Callable[..., Path]) -> None:
    root = class_folders({f"zip/data/{split}/{split}/{name}": 1 for split in ("Train", "DEV") for name in "ab"})
    layout = find_layout(root)
    assert texts(layout.notes) == (
        "split folders: zip/data/Train/Train (train), zip/data/DEV/DEV (validation)",
        "no folder is the test split; training cuts it from the train split",
    )
    assert Counter(each.split for each in layout.candidates) == {"train": 2, "validation": 2}


def test_an_empty_class_folder_inside_of_a_split_is_named(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"Training/a": 1, "Training/b": 1, "Training/c": 0, "Testing/a": 1, "Testing/b": 0})
    with raises(DataError, code="empty_class", naming="'c'"):
        find_layout(root)


def test_options_about_folders_are_refused_where_there_are_none(
    tmp_path: Path, idx_folder: Callable[..., Path], class_folders: Callable[..., Path]
) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na.png,x\n", encoding="utf-8")
    with raises(UsageError, code="option_not_applicable", naming="labels.csv"):
        find_layout(tmp_path / "labels.csv", TableOptions(splits="none"))
    with raises(UsageError, code="option_not_applicable"):
        find_layout(idx_folder(), TableOptions(labels_from="folders"))
    with raises(UsageError, code="no_table"):
        find_layout(class_folders({"a": 1, "b": 1}), TableOptions(labels_from="table"))
