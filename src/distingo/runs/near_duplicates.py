"""``near_duplicates.json``: what near-duplicates were searched for, what was found, and what is on several splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distingo.runs.fields import read_record, write_record

NotSearched = Literal["", "off", "small-images"]
"""Why nothing was searched: it was switched off, or the images are too small to be known by; empty where it was."""

DividedBy = Literal["distingo", "data", "split-file"]
"""Who divided the images: distingo alone, the folders or tables of the data at least in part, or a split file."""


@dataclass(frozen=True, slots=True)
class NearDuplicateCounts:
    """The content of ``near_duplicates.json``, all but the format's number.

    Attributes:
        images: How many images the data set has.
        searched: How many of them were compared with each other.
        too_small: How many were not, as their shorter side is below `smallest_side`.
        not_searched: Why none was, or empty.
        similarity: From which similarity on two images are near-duplicates; None where they were not searched for.
        smallest_side: In pixels.
        symmetries: Under how many symmetries of the square images were compared: 8, or 0 where they were not.
        pairs: How many pairs of near-duplicates were found.
        groups: How many groups these form, directly or by a chain.
        grouped: How many images are in one.
        largest: Images in the largest group; 0 where there is none.
        divided_by: Who divided the images.
        moved: How many images were put on another split than without groups.
        too_large: How many groups were divided image by image, as they are too large to be kept together.
        straddling_pairs: How many pairs have their images on two splits.
        straddling_groups: How many groups have theirs on several.
        contradicting_pairs: How many pairs have two different labels; 0 where images have several labels each.
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
        ResourceError: They can't be written.
    """
    write_record(path, counts)


def read_counts(path: Path) -> NearDuplicateCounts | None:
    """Read what `write_counts` wrote; None where there is no such file, as in runs of older versions.

    Raises:
        RunError: It is damaged, or a newer distingo wrote it.
    """
    if not path.exists():
        return None
    return read_record(path, NearDuplicateCounts, advice="train again, or restore it")
