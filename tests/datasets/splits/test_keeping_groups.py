"""A split changed so that every group is on one split, and as little as that allows."""

from __future__ import annotations

from collections import Counter

from grouped_images import a_dataset, alone, together

from distingo.datasets.splits.grouping import keep_groups, split_numbers
from distingo.datasets.splits.splitting import split_dataset
from distingo.records import SPLITS, Dataset, Split, SplitName
from note_texts import texts


def counts(split: Split) -> dict[str, Counter[str]]:
    return {
        split_name: Counter(name for image in split.split(split_name) for name in image.labels) for split_name in SPLITS
    }


def straddling(dataset: Dataset, split: Split, groups: list[list[int]]) -> list[list[int]]:
    numbers = split_numbers(dataset, split)
    return [members for members in groups if len(set(numbers[members].tolist())) > 1]


def test_without_groups_the_split_is_the_very_same() -> None:
    dataset = a_dataset([("a",)] * 40 + [("b",)] * 60)
    split = split_dataset(dataset, seed=3)
    kept = keep_groups(dataset, split, alone(dataset), seed=3)
    assert kept.split is split
    assert (kept.moved, kept.too_large) == (0, ())


def test_groups_are_kept_and_classes_have_as_many_as_before() -> None:
    dataset = a_dataset([("a",)] * 100 + [("b",)] * 100)
    groups = [[at, at + 1] for at in range(0, 80, 2)] + [[150, 160, 170], [90, 121]]
    split = split_dataset(dataset, seed=0)
    assert len(straddling(dataset, split, groups)) > 10
    kept = keep_groups(dataset, split, together(dataset, *groups), seed=0)
    assert straddling(dataset, kept.split, groups) == []
    assert counts(kept.split) == counts(split)
    assert kept.too_large == ()
    assert kept.split == keep_groups(dataset, split, together(dataset, *groups), seed=0).split
    assert kept.moved == int((split_numbers(dataset, split) != split_numbers(dataset, kept.split)).sum()) < 100


def test_a_group_of_several_classes_is_kept() -> None:
    dataset = a_dataset([("a",), ("b",)] * 50)
    groups = [[at, at + 1] for at in range(0, 60, 2)]
    split = split_dataset(dataset, seed=1)
    kept = keep_groups(dataset, split, together(dataset, *groups), seed=1)
    assert straddling(dataset, kept.split, groups) == []
    assert counts(kept.split) == counts(split)
    assert [len(kept.split.split(split_name)) for split_name in SPLITS] == [64, 16, 20]


def test_a_class_that_is_one_group_is_divided_all_the_same() -> None:
    dataset = a_dataset([("a",)] * 40 + [("b",)] * 40)
    split = split_dataset(dataset, seed=0)
    kept = keep_groups(dataset, split, together(dataset, list(range(40))), seed=0)
    assert kept.too_large == (0,)
    assert counts(kept.split) == counts(split)


def test_a_class_of_two_groups_is_on_train_and_test() -> None:
    dataset = a_dataset([("a",)] * 20 + [("b",)] * 60)
    groups = [list(range(17)), [17, 18, 19]]
    kept = keep_groups(dataset, split_dataset(dataset, seed=0), together(dataset, *groups), seed=0)
    assert kept.too_large == ()
    assert straddling(dataset, kept.split, groups) == []
    found = counts(kept.split)
    assert (found["train"]["a"], found["validation"]["a"], found["test"]["a"]) == (17, 0, 3)
    assert "class a has no validation picture" in texts(kept.split.notes)


def test_a_group_larger_than_any_split_is_divided() -> None:
    dataset = a_dataset([("a",), ("b",)] * 50)
    kept = keep_groups(dataset, split_dataset(dataset, seed=0), together(dataset, list(range(90))), seed=0)
    assert kept.too_large == (0,)
    assert kept.moved == 0


def test_given_splits_stay_and_what_has_none_follows_its_group() -> None:
    given: list[SplitName | None] = ["test"] * 10 + ["train"] * 40 + [None] * 10
    dataset = a_dataset([("a",), ("b",)] * 30, given)
    split = split_dataset(dataset, seed=0)
    kept = keep_groups(dataset, split, together(dataset, [0, 12], [1, 51], [20, 30]), seed=0)
    numbers = split_numbers(dataset, kept.split)
    test = SPLITS.index("test")
    assert (numbers[:10] == test).all()
    assert numbers[12] != test  # the author put it on the train split
    assert numbers[51] == test
    assert numbers[20] == numbers[30] != test


def test_several_labels_are_kept_in_proportion() -> None:
    dataset = a_dataset([("a",), ("a", "b"), ("b", "c"), ()] * 50)
    groups = [[at, at + 4] for at in range(0, 120, 8)]
    split = split_dataset(dataset, seed=0)
    kept = keep_groups(dataset, split, together(dataset, *groups), seed=0)
    assert straddling(dataset, kept.split, groups) == []
    before, after = counts(split), counts(kept.split)
    assert max(abs(before[split_name][name] - after[split_name][name]) for split_name in SPLITS for name in "abc") <= 1
