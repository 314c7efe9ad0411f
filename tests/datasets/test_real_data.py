"""The real data sets, counted."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from tests.pace import at_most

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import pixels_product, read_dataset
from distingo.datasets.options import Reading
from distingo.datasets.splits.splitting import split_dataset
from distingo.records import SPLITS, ImageSpec
from distingo.runs.data import read_manifest, write_manifest
from note_texts import texts

pytestmark = pytest.mark.data


def test_messy_is_accounted_for(real_data: Path, tmp_path: Path) -> None:
    dataset = read_dataset(real_data / "messy", Reading(cache=Cache(tmp_path / "cache")))
    assert len(dataset.manifest) == len({row.file for row in dataset.manifest}) == 525
    unusable = [row for row in dataset.manifest if row.status == "unusable"]
    # The collection calls them HTML pages under other names; eleven of the twelve are files without a byte.
    assert Counter(row.format for row in unusable) == {"HTML": 1, "empty": 11}
    assert all(str(row.reason) in {"an HTML page, not a picture", "an empty file"} for row in unusable)
    formats = Counter(row.format for row in dataset.manifest if row.status != "unusable")
    assert formats == {"JPEG": 486, "GIF": 14, "PNG": 9, "WebP": 4}
    groups = defaultdict(list)
    for row in dataset.manifest:
        groups[row.content].append(row)
    copies = [rows for rows in groups.values() if len(rows) > 1]
    assert len(copies) == 19
    assert sum(len(rows) - 1 for rows in copies) == 31
    assert sum(len({row.labels for row in rows}) > 1 for rows in copies) == 4
    for rows in copies:
        across = len({row.labels for row in rows}) > 1
        expected = {"unusable"} if rows[0].format == "empty" else {"conflict"} if across else {"used", "duplicate"}
        assert {row.status for row in rows} == expected
        assert sum(row.same_as != "" for row in rows) >= len(rows) - 1
    write_manifest(dataset.manifest, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == dataset.manifest
    split = split_dataset(dataset, seed=0)
    for split_name in SPLITS:
        assert {image.label for image in split.split(split_name)} == set(dataset.classes)


def test_two_sports_keeps_its_test_set(real_data: Path, tmp_path: Path) -> None:
    dataset = read_dataset(real_data / "two-sports", Reading(cache=Cache(tmp_path / "cache")))
    assert len(dataset.manifest) == 377
    split = split_dataset(dataset, seed=0)
    assert all(image.predefined_split == "test" for image in split.test)
    assert all(image.predefined_split == "train" for image in (*split.train, *split.validation))


def test_posters_are_accounted_for_by_row(real_data: Path, tmp_path: Path) -> None:
    with (real_data / "posters" / "train.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    labels = list(table[0])[2:]
    dataset = read_dataset(real_data / "posters", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.task == "multi-label"
    assert dataset.classes == tuple(sorted(labels))
    assert len(dataset.classes) == 25
    assert sorted(line for row in dataset.manifest for line in row.lines) == list(range(2, 3602))
    lost = Counter(label for row in dataset.manifest if row.status != "used" for label in row.labels)
    used = Counter(label for image in dataset.images for label in image.labels)
    assert {label: used[label] + lost[label] for label in labels} == {
        label: sum(row[label] == "1" for row in table) for label in labels
    }
    assert all(str(row.reason) for row in dataset.manifest if row.status != "used")
    assert len(dataset.images) == sum(row.status == "used" for row in dataset.manifest) == 3600
    split = split_dataset(dataset, seed=0)
    assert [len(split.split(split_name)) for split_name in SPLITS] == [2340, 540, 720]
    assert texts(split.notes) == (
        "label N/A (2 pictures) has none on the validation split",
        "label Reality-TV (1 picture) has none on the validation and test split",
    )
    for split_name, share in (("validation", 0.15), ("test", 0.2)):
        counts = Counter(label for image in split.split(split_name) for label in image.labels)  # type: ignore[arg-type]
        assert all(abs(counts[label] - share * used[label]) < max(2, 0.01 * used[label]) for label in labels)


@pytest.mark.slow
def test_fashion_mnist_takes_seconds(real_data: Path, tmp_path: Path) -> None:
    for seconds in (6, 3):  # the second time from the cache
        cache = Cache(tmp_path / "cache")
        product = pixels_product(cache, ImageSpec(28, 28, 1))
        with at_most(seconds):
            dataset = read_dataset(real_data / "fashion-mnist", Reading(cache=cache), products=[product])
    assert len(dataset.manifest) == 70_002
    assert len(dataset.images) == 70_000
    rows = product.store.rows([image.content for image in dataset.images])
    assert rows.take(np.array([0, 69_999])).shape == (2, 28, 28, 1)
