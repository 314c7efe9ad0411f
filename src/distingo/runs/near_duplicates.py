"""``near_duplicates.json``: the result of the search for near-duplicates, including those in different splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distingo.runs.fields import read_record, write_record

NotSearched = Literal["", "off", "small-images"]
"""Why no search took place: it was switched off, or the images are too small; empty if there was a search."""

DividedBy = Literal["distingo", "data", "split-file"]
"""What determined the splits: distingo alone, the data (at least in part), or a split file."""


@dataclass(frozen=True, slots=True)
class NearDuplicateCounts:
    """The content of ``near_duplicates.json``, without the format number.

    Attributes:
        images: Number of images in the data set.
        searched: Number of images that were compared with each other.
        too_small: Number of images that were not compared, since their shorter side is below `smallest_side`.
        not_searched: Why no images were compared, or empty.
        similarity: Similarity threshold of near-duplicates; None if there was no search.
        smallest_side: Minimum length of the shorter side in pixels.
        symmetries: Number of rotations and reflections under which images were compared: 8, or 0 without a search.
        pairs: Number of pairs of near-duplicates.
        groups: Number of groups, which are the connected components of the pairs.
        grouped: Number of images in groups.
        largest: Number of images in the largest group; 0 if there are no groups.
        divided_by: What determined the splits.
        moved: Number of images in another split than without groups.
        too_large: Number of groups that were too large to be kept in one split.
        straddling_pairs: Number of pairs whose images are in different splits.
        straddling_groups: Number of groups whose images are in different splits.
        contradicting_pairs: Number of pairs with different labels; 0 for multi-label.
        files: The files of each group, as in `distingo.records.Source.file`.
    """

    images: int
    searched: int = 0
    too_small: int = 0
    not_searched: NotSearched = ""
    similarity: float | None = None
    smallest_side: int = 0
    symmetries: int = 0
    pairs: int = 0
    groups: int = 0
    grouped: int = 0
    largest: int = 0
    divided_by: DividedBy = "distingo"
    moved: int = 0
    too_large: int = 0
    straddling_pairs: int = 0
    straddling_groups: int = 0
    contradicting_pairs: int = 0
    files: tuple[tuple[str, ...], ...] = ()


def write_counts(counts: NearDuplicateCounts, path: Path) -> None:
    """Write the counts as JSON.

    Raises:
        ResourceError: The file can't be written.
    """
    write_record(path, counts)


def read_counts(path: Path) -> NearDuplicateCounts | None:
    """Read the counts; None if the file does not exist, as in runs of older versions.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    if not path.exists():
        return None
    return read_record(path, NearDuplicateCounts, advice="train again, or restore it")
