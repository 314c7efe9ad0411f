"""Data sets that need no files, and groupings of their images."""

from __future__ import annotations

from pathlib import Path

from distingo.datasets.splits.grouping import Grouping, Links, chain_pairs, group_images
from distingo.messages.notes import note
from distingo.records import Dataset, LabeledImage, Source, SplitName


def a_dataset(labels: list[tuple[str, ...]], given: list[SplitName | None] | None = None) -> Dataset:
    splits = given or [None] * len(labels)
    images = tuple(
        LabeledImage(Source(f"{at:04}.png", Path(f"{at:04}.png")), names, f"c{at}", f"p{at}", 8, 8, split)
        for at, (names, split) in enumerate(zip(labels, splits, strict=True))
    )
    classes = tuple(sorted({name for names in labels for name in names}))
    task = "single-label" if all(len(names) == 1 for names in labels) else "multi-label"
    return Dataset(Path("data"), note("class-folders"), task, classes, images, ())


def alone(dataset: Dataset) -> Grouping:
    return group_images(len(dataset.images), [])


def together(dataset: Dataset, *members: list[int]) -> Grouping:
    pairs = [pair for each in members for pair in chain_pairs(each)]
    return group_images(len(dataset.images), [Links("near-duplicate", pairs)])
