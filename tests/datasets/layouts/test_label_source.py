"""Class folders or the table next to them: which of the two are the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError
from note_texts import texts
from raising import raises

FILES = tuple(f"{name}/{at:03}.png" for name in ("cat", "dog") for at in range(4))


@pytest.fixture
def with_metadata(class_folders: Callable[..., Path]) -> Callable[..., Path]:
    """A function that writes a metadata.csv with the given columns next to two class folders."""

    def write(**columns: list[str]) -> Path:
        root = class_folders({"cat": 4, "dog": 4})
        lines = [",".join(("file_name", *columns)), *map(",".join, zip(FILES, *columns.values(), strict=True))]
        (root / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return root

    return write


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("photographer", ["Ann", "Bob"] * 4),
        ("text", [f"caption {at}" for at in range(8)]),
        ("license", ["CC0"] * 8),
    ],
)
def test_a_column_that_is_no_label_leaves_the_folders_names(
    with_metadata: Callable[..., Path], name: str, values: list[str]
) -> None:
    root = with_metadata(**{name: values})
    layout = find_layout(root)
    assert (str(layout.name), layout.classes, layout.task) == ("class folders", ("cat", "dog"), "single-label")
    assert texts(layout.notes) == (
        f"the labels are the folders' names: metadata.csv has no label column ({name}; --label-column NAME would take "
        "them from it)",
    )


def test_a_column_may_be_taken_for_the_labels(with_metadata: Callable[..., Path]) -> None:
    root = with_metadata(photographer=["Ann", "Bob"] * 4)
    assert find_layout(root, TableOptions(label_column="photographer")).classes == ("Ann", "Bob")
    assert find_layout(root, TableOptions(labels_from="table")).classes == ("Ann", "Bob")


def test_a_label_column_goes_before_the_folders_names(with_metadata: Callable[..., Path]) -> None:
    root = with_metadata(label=["tabby", "tom"] * 4, photographer=["Ann"] * 8)
    layout = find_layout(root)
    assert layout.classes == ("tabby", "tom")
    assert texts(layout.notes)[0] == (
        "the labels are column 'label' of metadata.csv, not the folders' names (--labels-from folders would take those)"
    )
    assert find_layout(root, TableOptions(labels_from="folders")).classes == ("cat", "dog")


def test_a_column_that_may_be_a_label_is_asked_about(with_metadata: Callable[..., Path]) -> None:
    root = with_metadata(category=["indoor", "outdoor"] * 4)
    with raises(DataError, code="ambiguous_labels", parameter="labels_from") as caught:
        find_layout(root)
    assert str(caught.value) == (
        f"{root / 'metadata.csv'}: its images lie in class folders (cat, dog), and its column 'category' may hold "
        "labels too (indoor, outdoor); say by labels_from='table' or labels_from='folders' which are meant"
    )
    assert find_layout(root, TableOptions(labels_from="folders")).classes == ("cat", "dog")
    assert find_layout(root, TableOptions(labels_from="table")).classes == ("indoor", "outdoor")


def test_a_column_that_says_what_the_folders_say_is_read(with_metadata: Callable[..., Path]) -> None:
    assert find_layout(with_metadata(species=["Cat"] * 4 + ["Dog"] * 4)).classes == ("Cat", "Dog")


def test_columns_of_0_and_1_beside_class_folders_are_asked_about(with_metadata: Callable[..., Path]) -> None:
    root = with_metadata(young=["0", "1"] * 4, indoor=["1", "1", "0", "0"] * 2)
    with raises(DataError, code="ambiguous_labels", parameter="labels_from"):
        find_layout(root)
    assert find_layout(root, TableOptions(labels_from="folders")).classes == ("cat", "dog")
    assert find_layout(root, TableOptions(labels_from="table")).classes == ("indoor", "young")


def test_a_column_of_splits_beside_class_folders_is_honored(with_metadata: Callable[..., Path]) -> None:
    root = with_metadata(split=["train", "train", "dev", "test"] * 2, photographer=["Ann"] * 8)
    layout = find_layout(root)
    assert Counter((each.labels[0], each.split) for each in layout.candidates) == {
        (name, split): count
        for name in ("cat", "dog")
        for split, count in {"train": 2, "validation": 1, "test": 1}.items()
    }
    assert texts(layout.notes)[0] == "the splits are column 'split' of metadata.csv"
