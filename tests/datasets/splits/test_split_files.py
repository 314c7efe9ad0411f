from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from grouped_images import a_dataset, alone, together

from distingo.datasets.splits.files import apply_split_file, read_split_file, write_split_file
from distingo.datasets.splits.group_splitting import divide_folds, divide_splits
from distingo.errors import DataError, ErrorCode, UsageError
from distingo.records import Dataset, Source
from note_texts import texts
from raising import raises


@pytest.fixture
def dataset() -> Dataset:
    return a_dataset([("a|b",), ("c",)] * 30)


@pytest.fixture
def splits(dataset: Dataset, tmp_path: Path) -> Path:
    grouping = together(dataset, [4, 8, 9])
    write_split_file(
        dataset, divide_splits(dataset, grouping, validation=0.2, test=0.2, seed=0), tmp_path / "split.csv"
    )
    return tmp_path / "split.csv"


@pytest.fixture
def folds(dataset: Dataset, tmp_path: Path) -> Path:
    grouping = together(dataset, [4, 8, 9], [20, 31])
    write_split_file(dataset, divide_folds(dataset, grouping, folds=4, seed=0), tmp_path / "folds.csv")
    return tmp_path / "folds.csv"


def rename(dataset: Dataset, at: int, name: str) -> Dataset:
    images = list(dataset.images)
    images[at] = replace(images[at], source=Source(name, Path(name)))
    return replace(dataset, images=tuple(images))


def test_what_is_written_is_read(dataset: Dataset, splits: Path) -> None:
    lines = splits.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "file,split,group,why,labels,content"
    assert lines[5] in {
        f"0004.png,{split_name},5,near-duplicate,a\\|b,c4" for split_name in ("train", "validation", "test")
    }
    read = read_split_file(splits)
    assert read.folds == 0
    assert read.lines[0].labels == ("a|b",)
    split = apply_split_file(read, dataset)
    assert [len(split.train), len(split.validation), len(split.test)] == [36, 12, 12]
    assert split.notes == ()
    names = [[image.source.file for image in split.split(split_name)] for split_name in ("train", "validation", "test")]
    assert all(each == sorted(each) for each in names)


def test_a_fold_is_the_test_side_and_groups_stay_whole(dataset: Dataset, folds: Path) -> None:
    read = read_split_file(folds)
    assert read.folds == 4
    tested = []
    for fold in (1, 2, 3, 4):
        split = apply_split_file(read, dataset, fold=fold, validation=0.2, seed=0)
        tested += [image.source.file for image in split.test]
        assert len(split.train) + len(split.validation) + len(split.test) == 60
        assert 8 <= len(split.validation) <= 10
        for group in ({"0004.png", "0008.png", "0009.png"}, {"0020.png", "0031.png"}):
            on = [
                split_name
                for split_name in (split.train, split.validation, split.test)
                if group & {p.source.file for p in split_name}
            ]
            assert len(on) == 1
        assert f"fold {fold} of 4 of folds.csv is the test split" in texts(split.notes)
    assert sorted(tested) == [image.source.file for image in dataset.images]


def test_every_image_is_accounted_for(dataset: Dataset, splits: Path) -> None:
    changed = rename(dataset, 0, "moved/new name.png")
    extra = replace(dataset.images[1], source=Source("extra.png", Path("extra.png")), content="another")
    images = (*(image for at, image in enumerate(changed.images) if at != 3), extra)
    split = apply_split_file(read_split_file(splits), replace(changed, images=images))
    assert texts(split.notes) == (
        "1 picture not in split.csv, so on no split (extra.png)",
        "1 picture in split.csv, but not among the usable ones of the data any more (0003.png)",
        "1 picture found by content, as split.csv has another name for it (moved/new name.png)",
    )
    everyone = [image.source.file for image in (*split.train, *split.validation, *split.test)]
    assert len(everyone) == 59
    assert "moved/new name.png" in everyone


def test_other_labels_count_and_are_said(dataset: Dataset, splits: Path) -> None:
    images = (replace(dataset.images[0], labels=("c",)), *dataset.images[1:])
    (note,) = texts(apply_split_file(read_split_file(splits), replace(dataset, images=images)).notes)
    assert note == "1 picture labeled otherwise than in split.csv; the labels of the data count (0000.png)"


def test_other_bytes_are_refused(dataset: Dataset, splits: Path) -> None:
    images = (replace(dataset.images[0], content="edited"), *dataset.images[1:])
    with raises(DataError, code="split_differs", parameter="split", naming="0000.png"):
        apply_split_file(read_split_file(splits), replace(dataset, images=images))


@pytest.mark.parametrize("column", ["split", "side"])  # its name in version 0.1
def test_a_table_of_ones_own_with_files_and_splits_will_do(dataset: Dataset, tmp_path: Path, column: str) -> None:
    path = tmp_path / "own.csv"
    names = ["train", "test", "validation", "train", "test", "validation", "train"]
    lines = [f"{image.source.file},{split_name}" for image, split_name in zip(dataset.images, names, strict=False)]
    path.write_text("\n".join([f"file,{column}", *lines]), encoding="utf-8")
    split = apply_split_file(read_split_file(path), dataset)
    assert len(split.train) == 3
    assert "53 pictures not in own.csv" in texts(split.notes)[0]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("file,split\n", "wrong_format"),
        ("file,group\na.png,1\n", "wrong_format"),
        ("name,split\na.png,train\n", "missing_column"),
        ("file,split\na.png,traning\n", "damaged_line"),
        ("file,fold\na.png,0\n", "damaged_line"),
        ("file,split\na.png,train\na.png,test\n", "duplicate_entry"),
        ("file,split\na.png\n", "damaged_line"),
    ],
)
def test_what_is_no_split_file(tmp_path: Path, content: str, code: ErrorCode) -> None:
    (tmp_path / "bad.csv").write_text(content, encoding="utf-8")
    with raises(DataError, code=code):
        read_split_file(tmp_path / "bad.csv")


def test_no_such_file(tmp_path: Path) -> None:
    with raises(DataError, code="not_found", parameter="split"):
        read_split_file(tmp_path / "none.csv")


def test_folds_and_sides_are_not_mixed_up(dataset: Dataset, splits: Path, folds: Path) -> None:
    with raises(UsageError, code="option_not_applicable", parameter="fold"):
        apply_split_file(read_split_file(splits), dataset, fold=1)
    with raises(UsageError, code="missing_argument", parameter="fold"):
        apply_split_file(read_split_file(folds), dataset)
    with raises(UsageError, code="out_of_range", parameter="fold"):
        apply_split_file(read_split_file(folds), dataset, fold=5)


def test_an_empty_side_is_an_error(dataset: Dataset, tmp_path: Path) -> None:
    division = divide_splits(dataset, alone(dataset), validation=0.0, test=0.2, seed=0)
    write_split_file(dataset, division, tmp_path / "two.csv")
    with raises(DataError, code="split_incomplete", parameter="split"):
        apply_split_file(read_split_file(tmp_path / "two.csv"), dataset)


def test_a_class_without_training_image_is_an_error(dataset: Dataset, splits: Path) -> None:
    text = splits.read_text(encoding="utf-8").splitlines()
    moved = [line.replace(",train,", ",test,") if ",c,c" in line else line for line in text]
    splits.write_text("\n".join(moved), encoding="utf-8")
    with raises(DataError, code="split_incomplete", parameter="split"):
        apply_split_file(read_split_file(splits), dataset)


def test_a_split_file_that_is_not_there(tmp_path: Path) -> None:
    with raises(DataError, code="not_found", parameter="split", naming="nope.csv") as caught:
        read_split_file(tmp_path / "nope.csv")
    assert "run folder" not in str(caught.value)
