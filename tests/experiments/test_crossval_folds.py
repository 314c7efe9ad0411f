"""Folds keep together what belongs together, in training, validation and test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.datasets.splits.files import read_split_file, write_split_file
from distingo.datasets.splits.grouping import Links, group_images
from distingo.errors import DataError, UsageError
from distingo.experiments.crossval_folds import divide, from_split_file
from distingo.records import Dataset
from raising import raises
from tiny_datasets import draw_classes


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return read_dataset(
        draw_classes(tmp_path / "data", per_class=24, names=("a", "b")), Reading(cache=Cache(tmp_path / "c"))
    )


def fours(n: int) -> Links:
    return Links("group", [(at, at + 1) for at in range(n - 1) if at % 4 != 3])


def test_every_image_is_judged_once_and_groups_are_whole(dataset: Dataset) -> None:
    folds = divide(dataset, group_images(48, [fours(48)]), folds=3, seed=1, resplit=False)
    group_of = {image.source.file: int(folds.grouping.numbers[at]) for at, image in enumerate(dataset.images)}
    evaluated = []
    for fold in folds.each:
        split = folds.split(fold, validation=0.25, seed=5)
        splits = [
            {group_of[image.source.file] for image in split_name} for split_name in (split.train, split.validation)
        ]
        splits.append({group_of[image.source.file] for image in split.test})
        assert not splits[0] & splits[1]
        assert not (splits[0] | splits[1]) & splits[2]
        assert {image.label for image in split.train} == {"a", "b"}
        assert len(split.validation) == 8
        evaluated += [image.source.file for image in split.test]
    assert sorted(evaluated) == sorted(group_of)


def test_a_division_is_written_and_read_back(dataset: Dataset, tmp_path: Path) -> None:
    folds = divide(dataset, group_images(48, [fours(48)]), folds=4, seed=0, resplit=False)
    write_split_file(folds.dataset, folds.division(), tmp_path / "folds.csv")
    again = from_split_file(read_split_file(tmp_path / "folds.csv"), dataset)
    np.testing.assert_array_equal(again.numbers, folds.numbers)
    first, second = folds.split(2, validation=0.2, seed=3), again.split(2, validation=0.2, seed=3)
    assert first == second


def test_a_class_on_one_fold_can_not_be_taught(dataset: Dataset) -> None:
    of_a = [at for at, image in enumerate(dataset.images) if image.label == "a"]
    links = Links("group", [(of_a[0], other) for other in of_a[1:]])
    with raises(DataError, code="split_incomplete"):
        divide(dataset, group_images(48, [links]), folds=3, seed=0, resplit=False)


def test_sides_are_no_folds(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "sides.csv").write_text("file,split\na/000.png,train\n", encoding="utf-8")
    with raises(UsageError, code="option_not_applicable", parameter="split"):
        from_split_file(read_split_file(tmp_path / "sides.csv"), dataset)
    (tmp_path / "gap.csv").write_text("file,fold\na/000.png,1\nb/000.png,3\n", encoding="utf-8")
    with raises(DataError, code="split_incomplete"):
        from_split_file(read_split_file(tmp_path / "gap.csv"), dataset)
