"""Tables of several splits whose columns bear other names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError
from raising import raises

TRAIN = "file,label\n0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n3.jpg,dog\n"
BOTH = {("train", "cat"): 2, ("train", "dog"): 2, ("validation", "cat"): 2, ("validation", "dog"): 2}
TRAIN_ONLY = {("train", "cat"): 2, ("train", "dog"): 2}


def make(root: Path, train: str, other: str) -> Path:
    for folder, text in (("train", train), ("val", other)):
        (root / folder).mkdir()
        (root / folder / "labels.csv").write_text(text, encoding="utf-8")
        for at in range(4):
            (root / folder / f"{at}.jpg").write_bytes(b"x")
    return root


def read(root: Path, options: TableOptions | None = None) -> dict[tuple[str | None, str], int]:
    return Counter((each.split, ",".join(each.labels)) for each in find_layout(root, options).candidates)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("file,class\n0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n3.jpg,dog\n", BOTH),
        ("path,dx\n0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n3.jpg,dog\n", BOTH),
        (",filename,class\n0,3.jpg,dog\n1,0.jpg,cat\n2,1.jpg,dog\n3,2.jpg,cat\n", BOTH),
        ("file,width\n0.jpg,512\n1.jpg,512\n2.jpg,480\n3.jpg,480\n", TRAIN_ONLY),
        ("file\n0.jpg\n1.jpg\n", TRAIN_ONLY),
        ("file,label\n0.jpg,\n1.jpg,\n", TRAIN_ONLY),
    ],
)
def test_a_split_is_read_by_its_own_columns(
    tmp_path: Path, other: str, expected: dict[tuple[str | None, str], int]
) -> None:
    root = make(tmp_path, TRAIN, other)
    assert read(root) == expected
    assert read(root, TableOptions(label_column="label")) == expected


def test_labels_that_nobody_knows_are_refused_with_both_columns(tmp_path: Path) -> None:
    root = make(tmp_path, TRAIN, "file,class\n0.jpg,red\n1.jpg,blue\n2.jpg,red\n3.jpg,blue\n")
    with raises(DataError, code="ambiguous_column") as caught:
        find_layout(root)
    assert str(caught.value) == (
        f"{root / 'val' / 'labels.csv'}: its column 'class' may hold labels, but not those of column 'label' of "
        f"{root / 'train' / 'labels.csv'}; give these columns the same name, or clear the one that holds no labels"
    )


def test_a_label_that_one_split_lacks_leaves_the_others(tmp_path: Path) -> None:
    train = "file,sea,sun,town\n0.jpg,1,0,0\n1.jpg,0,1,0\n2.jpg,0,0,1\n3.jpg,1,1,0\n"
    root = make(tmp_path, train, "file,sea,sun\n0.jpg,1,0\n1.jpg,0,1\n2.jpg,1,1\n3.jpg,0,1\n")
    found = read(root)
    assert {key: count for key, count in found.items() if key[0] == "validation"} == {
        ("validation", "sea"): 1,
        ("validation", "sun"): 2,
        ("validation", "sea,sun"): 1,
    }
    assert sum(found.values()) == 8
