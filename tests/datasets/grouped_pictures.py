"""Data sets that need no files, and groupings of their pictures."""

from __future__ import annotations

from pathlib import Path

from distingo.datasets.splits.grouping import Grouping, Links, chain_pairs, group_pictures
from distingo.messages.notes import note
from distingo.records import Dataset, Picture, Side, Source


def a_dataset(labels: list[tuple[str, ...]], given: list[Side | None] | None = None) -> Dataset:
    sides = given or [None] * len(labels)
    pictures = tuple(
        Picture(Source(f"{at:04}.png", Path(f"{at:04}.png")), names, f"c{at}", f"p{at}", 8, 8, side)
        for at, (names, side) in enumerate(zip(labels, sides, strict=True))
    )
    classes = tuple(sorted({name for names in labels for name in names}))
    task = "single-label" if all(len(names) == 1 for names in labels) else "multi-label"
    return Dataset(Path("data"), note("class-folders"), task, classes, pictures, ())


def alone(dataset: Dataset) -> Grouping:
    return group_pictures(len(dataset.pictures), [])


def together(dataset: Dataset, *members: list[int]) -> Grouping:
    pairs = [pair for each in members for pair in chain_pairs(each)]
    return group_pictures(len(dataset.pictures), [Links("near-duplicate", pairs)])
