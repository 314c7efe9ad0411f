"""A table of labels next to folders: those that may be classes, and those that are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError
from note_texts import texts
from raising import raises

NOTE = "the labels are column 'label' of labels.csv, not the folders' names (--labels-from folders would take those)"
UNREAD = "the labels are the folders' names; labels.csv is not read (give it as DATA for the labels in it)"


def images(folder: str, count: int) -> list[str]:
    return [f"{folder}/{at:03}.png" for at in range(count)]


def write(root: Path, header: str, names: Sequence[str], *values: Sequence[object], file: str = "labels.csv") -> Path:
    lines = [header, *(",".join(map(str, row)) for row in zip(names, *values, strict=True))]
    (root / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("others", [2, 20])
def test_labels_of_images_in_one_folder_go_before_the_names_of_all_folders(
    class_folders: Callable[..., Path], others: int
) -> None:
    root = write(class_folders({"images": 12, "docs": others}), "file,label", images("images", 12), "ab" * 6)
    layout = find_layout(root)
    assert (layout.classes, texts(layout.notes)[0]) == (("a", "b"), NOTE)
    assert {each.source.file: each.labels[0] for each in layout.candidates} == dict(
        zip(images("images", 12), "ab" * 6, strict=True)
    )
    assert find_layout(root, TableOptions(labels_from="folders")).classes == ("docs", "images")


@pytest.mark.parametrize("column", ["class", "species"])
def test_any_usual_name_of_labels_counts_where_no_folder_is_a_class(
    class_folders: Callable[..., Path], column: str
) -> None:
    root = write(class_folders({"images": 12, "docs": 4}), f"file,{column}", images("images", 12), "ab" * 6)
    assert find_layout(root).classes == ("a", "b")


def test_columns_of_0_and_1_count_too(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"images": 12, "docs": 4})
    write(root, "file,young,indoor", images("images", 12), [1, 0, 1] * 4, [0, 1, 1] * 4)
    assert find_layout(root).classes == ("indoor", "young")


def test_bare_names_and_numbers_count(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"images": 12, "docs": 0})
    for at in range(4):
        (root / "images" / f"{at:03}.png").rename(root / "docs" / f"fig{at}.png")
    write(root, "id,label", [f"{at:03}" for at in range(4, 12)], "ab" * 4)
    assert find_layout(root).classes == ("a", "b")


def test_a_column_of_unknown_name_is_asked_about_where_no_folder_is_a_class(
    class_folders: Callable[..., Path],
) -> None:
    root = write(class_folders({"images": 12, "docs": 4}), "file,dx", images("images", 12), "ab" * 6)
    with raises(DataError, code="ambiguous_labels", parameter="labels_from") as caught:
        find_layout(root)
    assert str(caught.value) == (
        f"{root / 'labels.csv'}: names images such as images/000.png, which is in no folder that looks like a class "
        "(docs, images); say by labels_from='table' or labels_from='folders' which are meant"
    )
    assert find_layout(root, TableOptions(labels_from="table")).classes == ("a", "b")


def test_other_labels_than_the_class_folders_are_taken_or_asked_about(class_folders: Callable[..., Path]) -> None:
    names = [*images("cat", 4), *images("dog", 4)]
    root = write(class_folders({"cat": 4, "dog": 4}), "file,label", names, ["tabby", "tom"] * 4)
    layout = find_layout(root)
    assert (layout.classes, texts(layout.notes)[0]) == (("tabby", "tom"), NOTE)
    write(root, "file,category", names, ["indoor", "outdoor"] * 4)
    with raises(DataError, code="ambiguous_labels", parameter="labels_from"):
        find_layout(root)
    write(root, "file,label", names, ["tabby", "tom"] * 4, file="more.csv")
    with raises(DataError, code="ambiguous_labels", parameter="labels_from", naming=("labels.csv", "more.csv")):
        find_layout(root)


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("file,label", ["cat"] * 4 + ["dog"] * 4),
        ("file,label", ["0"] * 4 + ["1"] * 4),
        ("file,label", ["Felis catus"] * 4 + ["Canis lupus"] * 4),
        ("file,photographer", ["Ann", "Bob"] * 4),
    ],
)
def test_a_table_that_repeats_the_folders_or_has_no_labels_changes_nothing(
    class_folders: Callable[..., Path], header: str, values: list[str]
) -> None:
    root = write(class_folders({"cat": 4, "dog": 4}), header, [*images("cat", 4), *images("dog", 4)], values)
    layout = find_layout(root)
    assert (str(layout.name), layout.classes, texts(layout.notes)) == ("class folders", ("cat", "dog"), (UNREAD,))


@pytest.mark.parametrize(
    "text",
    [
        "id,label\n0,cat\n1,dog\n",  # the list of classes, whose numbers name files by chance
        "file,label\ncat/000.png,x\ncat/001.png,y\n",  # a few images only
        "file,label\nelsewhere/0.png,x\nelsewhere/1.png,y\n",
        "file,label\ncat/000.png\n,,,,,\n",
    ],
)
def test_an_unrelated_or_damaged_table_changes_nothing(class_folders: Callable[..., Path], text: str) -> None:
    root = class_folders({"cat": 4, "dog": 4})
    for at in range(2):
        (root / "cat" / f"{at + 2:03}.png").rename(root / "cat" / f"{at}.png")
    (root / "labels.csv").write_text(text, encoding="utf-8")
    layout = find_layout(root)
    assert (str(layout.name), layout.classes, texts(layout.notes)) == ("class folders", ("cat", "dog"), (UNREAD,))


def test_the_column_of_images_may_be_named_for_groups_of_class_folders(class_folders: Callable[..., Path]) -> None:
    names = [*images("cat", 4), *images("dog", 4)]
    root = class_folders({"cat": 4, "dog": 4})
    write(root, "front,back,patient", names, list(reversed(names)), [0, 1, 2, 3, 4, 5, 6, 7])
    options = TableOptions(group_column="patient", labels_from="folders")
    with raises(DataError, code="ambiguous_column", parameter="image_column"):
        find_layout(root, options)
    layout = find_layout(root, TableOptions(group_column="patient", labels_from="folders", image_column="back"))
    assert (layout.classes, layout.groups["cat/000.png"]) == (("cat", "dog"), ("7",))
