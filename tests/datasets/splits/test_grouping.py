from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from drawing import encode, noise
from hypothesis import given
from hypothesis import strategies as st

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.datasets.splits.grouping import Links, group_images, link_column
from distingo.datasets.tables.table import TableOptions
from distingo.errors import UsageError
from note_texts import texts
from raising import raises


def test_chains_of_every_kind_become_one_group() -> None:
    links = [Links("near-duplicate", [(4, 1)]), Links("burst", [(1, 2), (5, 5)]), Links("group", [])]
    grouping = group_images(6, links)
    assert grouping.numbers.tolist() == [0, 1, 1, 2, 1, 3]
    assert grouping.kinds == ((), ("near-duplicate", "burst"), (), ())
    assert grouping.sizes().tolist() == [1, 3, 1, 1]
    assert grouping.count == 4


def test_no_image_has_no_group() -> None:
    assert group_images(0, []).count == 0


def test_a_pair_beyond_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 3"):
        group_images(3, [Links("burst", [(0, 3)])])


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25))
def test_linked_images_share_a_group_and_groups_are_no_larger_than_links_allow(pairs: list[tuple[int, int]]) -> None:
    grouping = group_images(20, [Links("burst", pairs)])
    assert all(grouping.numbers[one] == grouping.numbers[other] for one, other in pairs)
    merges = len({frozenset(pair) for pair in pairs if pair[0] != pair[1]})
    assert 20 - merges <= grouping.count <= 20
    _, first = np.unique(grouping.numbers, return_index=True)
    assert first.tolist() == sorted(first.tolist())  # counted in the order of their first images


def write_table(root: Path, rows: list[tuple[str, str, str]], names: tuple[str, str, str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "table.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return root / "table.csv"


def test_a_group_column_links_images_and_their_copies(tmp_path: Path) -> None:
    rows = [(f"{at}.png", "ab"[at % 2], who) for at, who in enumerate(["Zoë", "Ali", "", "Zoë", "", "Bo"])]
    table = write_table(tmp_path, [*rows, ("copy.png", "a", "Ali"), ("0.png", "a", "Bo")], ("file", "kind", "patient"))
    for at in range(6):
        (tmp_path / f"{at}.png").write_bytes(encode(noise(at)))
    (tmp_path / "copy.png").write_bytes((tmp_path / "4.png").read_bytes())  # of one that says nothing itself
    dataset = read_dataset(table, Reading(cache=Cache(tmp_path / "cache"), table=TableOptions(group_column="patient")))
    assert dataset.classes == ("a", "b")  # the group column was not taken for the labels
    assert dataset.groups["0.png"] == ("Bo", "Zoë")
    grouping = group_images(6, [link_column(dataset)])
    files = [image.source.file for image in dataset.images]
    groups = {frozenset(np.array(files)[grouping.numbers == number].tolist()) for number in range(grouping.count)}
    assert groups == {frozenset({"0.png", "3.png", "5.png"}), frozenset({"1.png", "4.png"}), frozenset({"2.png"})}


def test_a_group_column_that_is_not_there(tmp_path: Path) -> None:
    table = write_table(tmp_path, [("0.png", "a", "x"), ("1.png", "b", "x")], ("file", "label", "patient"))
    with raises(UsageError, code="unknown_column", naming="'patients'"):
        read_dataset(table, Reading(cache=Cache(tmp_path / "cache"), table=TableOptions(group_column="patients")))


def test_a_group_column_without_a_table(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(encode(noise(ord(name))))
    with raises(UsageError, code="no_table", parameter="group_column"):
        read_dataset(tmp_path, Reading(cache=Cache(tmp_path / "cache"), table=TableOptions(group_column="patient")))


def draw_folders(root: Path, rows: list[str], name: str = "people.csv") -> Path:
    for at in range(6):
        (root / "ab"[at % 2]).mkdir(parents=True, exist_ok=True)
        (root / "ab"[at % 2] / f"{at}.png").write_bytes(encode(noise(at)))
    (root / name).write_text("\n".join(["picture,who", *rows]), encoding="utf-8")
    return root


def test_class_folders_keep_their_labels_beside_a_table_of_groups(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "data", ["a/0.png,Zoë", "1.png,Zoë", "b/3.png,", "4,Ali", "b/5.png,Ali", "9.png,Bo"])
    dataset = read_dataset(root, Reading(cache=Cache(tmp_path / "cache"), table=TableOptions(group_column="who")))
    assert dataset.layout.code == "class-folders"
    assert dataset.classes == ("a", "b")
    assert dataset.groups == {"a/0.png": ("Zoë",), "b/1.png": ("Zoë",), "a/4.png": ("Ali",), "b/5.png": ("Ali",)}
    (note,) = texts(dataset.notes)
    assert "column 'who' of people.csv" in note
    assert "2 pictures have no group there" in note
    assert "1 rows name no picture, or several" in note
    assert group_images(6, [link_column(dataset)]).count == 4


def test_tables_of_groups_that_can_not_be_told(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "data", ["a/0.png,Zoë"])
    with raises(UsageError, code="unknown_column", parameter="group_column", naming=("'whom'", "people.csv")):
        read_dataset(root, Reading(cache=Cache(tmp_path / "cache"), table=TableOptions(group_column="whom")))
    draw_folders(root, ["a/0.png,Zoë"], "more.csv")
    with raises(UsageError, code="ambiguous_table", parameter="group_column", naming="'who'"):
        read_dataset(root, Reading(cache=Cache(tmp_path / "cache"), table=TableOptions(group_column="who")))
