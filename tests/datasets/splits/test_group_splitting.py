from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from grouped_images import a_dataset, alone, together
from hypothesis import given
from hypothesis import strategies as st

from distingo.datasets.splits.group_splitting import divide_folds, divide_splits
from distingo.datasets.splits.grouping import Links, group_images
from distingo.errors import DataError, UsageError
from distingo.records import SPLITS, SplitName
from note_texts import texts
from raising import raises


def test_every_class_comes_out_as_asked() -> None:
    dataset = a_dataset([("a",)] * 60 + [("b",)] * 20)
    division = divide_splits(dataset, alone(dataset), validation=0.15, test=0.2, seed=0)
    assert division.parts == SPLITS
    assert [(share.name, share.counts) for share in division.shares] == [
        ("", (52, 12, 16)),
        ("a", (39, 9, 12)),
        ("b", (13, 3, 4)),
    ]
    assert max(share.farthest for share in division.shares) < 1e-9
    assert division.notes == division.leaks == ()


def test_how_far_a_class_came_out_from_what_was_asked_for() -> None:
    dataset = a_dataset([("a",)] * 10 + [("b",)] * 10)
    division = divide_splits(dataset, together(dataset, list(range(8))), validation=0.25, test=0.25, seed=0)
    _, first, _ = division.shares
    assert first.counts == (8, 1, 1)
    assert first.farthest == pytest.approx(0.3)


@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_no_group_is_broken_unless_the_author_broke_it(seed: int, several: bool, with_splits: bool) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 60))
    names = [tuple("abc"[at] for at in range(3) if rng.random() < 0.5) for _ in range(n)]
    labels = names if several else [("abc"[int(rng.integers(3))],) for _ in range(n)]
    choices: list[SplitName | None] = [None, None, "train", "test"]
    given_sides = [choices[int(rng.integers(4))] for _ in range(n)] if with_splits else None
    dataset = a_dataset(labels if any(labels) else [("a",), *labels[1:]], given_sides)
    pairs = rng.integers(0, n, (n // 4, 2)).tolist()
    grouping = group_images(n, [Links("burst", [(one, other) for one, other in pairs])])
    division = divide_splits(dataset, grouping, validation=0.2, test=0.2, seed=seed)
    for group in range(grouping.count):
        members = np.flatnonzero(grouping.numbers == group)
        if len(set(division.numbers[members].tolist())) > 1:
            splits = {dataset.images[at].predefined_split for at in members}
            assert group in division.leaks
            assert {"train", "test"} <= splits
    for at, image in enumerate(dataset.images):
        if image.predefined_split == "test":
            assert SPLITS[division.numbers[at]] == "test"
    anew = divide_splits(dataset, grouping, validation=0.2, test=0.2, seed=seed, resplit=True)
    assert anew.leaks == ()


def test_given_sides_stay_and_missing_ones_are_cut_from_train() -> None:
    given_sides: list[SplitName | None] = ["train"] * 40 + ["test"] * 10
    dataset = a_dataset([("a",), ("b",)] * 25, given_sides)
    division = divide_splits(dataset, alone(dataset), validation=0.1, test=0.3, seed=0)
    assert division.numbers[40:].tolist() == [2] * 10
    assert division.shares[0].requested == pytest.approx((0.9, 0.1, 0.0))
    assert division.shares[0].counts == (36, 4, 0)
    assert division.shares[0].predefined == (0, 0, 10)


def test_leaks_across_given_sides_are_reported_and_resplit_mends_them() -> None:
    given_sides: list[SplitName | None] = ["train"] * 10 + ["validation"] * 10 + ["test"] * 10
    dataset = a_dataset([("a",), ("b",)] * 15, given_sides)
    grouping = together(dataset, [0, 25], [1, 2], [11, 21])
    division = divide_splits(dataset, grouping, validation=0.2, test=0.2, seed=0)
    assert len(division.leaks) == 2
    (note,) = texts(division.notes)
    assert "2 groups with 4 pictures are on several splits" in note
    assert "0000.png (train) and 0025.png (test)" in note
    assert "--resplit" in note
    anew = divide_splits(dataset, grouping, validation=0.2, test=0.2, seed=0, resplit=True)
    assert anew.notes == ()


def test_a_image_without_a_side_follows_its_group() -> None:
    given_sides: list[SplitName | None] = [*(["test"] * 4), *([None] * 20)]
    dataset = a_dataset([("a",), ("b",)] * 12, given_sides)
    division = divide_splits(dataset, together(dataset, [0, 10, 11]), validation=0.2, test=0.2, seed=0)
    assert division.numbers[[0, 10, 11]].tolist() == [2, 2, 2]
    assert (division.numbers[4:] == 2).sum() == 2


def test_a_class_that_is_missing_somewhere_is_named() -> None:
    dataset = a_dataset([("a",)] * 20 + [("b",)] * 6)
    division = divide_splits(dataset, together(dataset, [20, 21, 22, 23, 24, 25]), validation=0.2, test=0.2, seed=0)
    assert texts(division.notes) == ("class b has none on validation and test: its 6 pictures form 1 group",)


def test_folds_are_alike_and_hold_everything() -> None:
    dataset = a_dataset([("a", "b"), ("a",), ("c",), (), ("b", "c")] * 10)
    division = divide_folds(dataset, alone(dataset), folds=5, seed=1)
    assert division.parts == ("1", "2", "3", "4", "5")
    assert division.folds
    assert np.bincount(division.numbers).tolist() == [10] * 5
    assert all(share.farthest < 0.06 for share in division.shares)


def test_folds_of_data_with_sides_want_a_word() -> None:
    dataset = a_dataset([("a",), ("b",)] * 5, ["test"] * 2 + [None] * 8)
    with raises(UsageError, code="own_splits", parameter="folds"):
        divide_folds(dataset, alone(dataset), folds=2, seed=0)
    assert len(divide_folds(dataset, alone(dataset), folds=2, seed=0, resplit=True).numbers) == 10


def test_what_can_not_be_divided() -> None:
    dataset = a_dataset([("a",), ("b",)] * 5)
    one_group = together(dataset, list(range(10)))
    with raises(DataError, code="too_few_images"):
        divide_splits(dataset, one_group, validation=0.2, test=0.2, seed=0)
    with raises(DataError, code="too_few_images"):
        divide_folds(dataset, one_group, folds=2, seed=0)
    for validation, test in ((0.5, 0.5), (-0.1, 0.2), (0.2, 1.0)):
        with raises(UsageError, code="out_of_range"):
            divide_splits(dataset, alone(dataset), validation=validation, test=test, seed=0)
    with raises(UsageError, code="out_of_range", parameter="folds"):
        divide_folds(dataset, alone(dataset), folds=1, seed=0)
    with raises(UsageError, code="out_of_range", parameter="seed"):
        divide_folds(dataset, alone(dataset), folds=2, seed=-1)


def test_all_sides_given_leave_nothing_to_divide() -> None:
    dataset = a_dataset([("a",), ("b",)] * 3, ["validation"] * 2 + ["test"] * 4)
    division = divide_splits(dataset, alone(dataset), validation=0.2, test=0.2, seed=0)
    assert division.shares[0].counts == (0, 0, 0)
    assert division.shares[0].farthest == 0
    assert replace(division.shares[0], counts=(1, 0, 0)).actual == (1.0, 0.0, 0.0)
