"""The records of a search for near-duplicates: what was searched, what was found, and what is on several splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distingo.features.signatures import SIDE, SYMMETRIES
from distingo.files import read_json, write_json
from distingo.near_duplicates.search import LOOSEST
from distingo.records import Picture
from distingo.run_folder import FORMAT, check_format
from distingo.stored_fields import convert

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
    write_json(path, {"format": FORMAT, **dataclasses.asdict(counts)})


def read_counts(path: Path) -> NearDuplicateCounts | None:
    """Read what `write_counts` wrote; None where there is no such file, as in runs of older versions.

    Raises:
        RunError: It is damaged, or a newer distingo wrote it.
    """
    if not path.exists():
        return None
    content = read_json(path)
    check_format(content, path)
    return convert(content, NearDuplicateCounts, path, advice="train again, or restore it")


@dataclass(frozen=True, slots=True)
class NearDuplicateSearch:
    """What was searched for; what was found are findings.

    Attributes:
        images: How many images of the data set were compared with each other.
        against: How many images of the other data set these were compared with too; 0 without one.
        small: How many of all these have a shorter side below `full_side`, and must be nearly equal.
        full_side: In pixels.
        symmetries: Under how many symmetries of the square images were compared; 8 are all turns by quarters, each
            mirrored and not.
        similarity: From which similarity on two images count as near-duplicates, from 0 to 1: the threshold of that
            kind. Leaks and contradictions have thresholds of their own.
        kept_from: From which similarity on pairs are kept, so that a threshold can be moved.
    """

    images: int
    against: int
    small: int
    similarity: float
    full_side: int = SIDE
    symmetries: int = len(SYMMETRIES)
    kept_from: float = LOOSEST


def record_search(pictures: Sequence[Picture], others: Sequence[Picture], similarity: float) -> NearDuplicateSearch:
    """Record a search among a data set's images and, where there is another data set, its images.

    Args:
        pictures: The usable ones of the data set.
        others: Those of the other data set; empty without one.
        similarity: The threshold of near-duplicates.
    """
    small = sum(min(picture.width, picture.height) < SIDE for picture in (*pictures, *others))
    return NearDuplicateSearch(len(pictures), len(others), small, similarity)


def describe_search(search: NearDuplicateSearch) -> str:
    """What a person should know of the search, in one sentence."""
    among = f"among {search.images:,} images"
    if search.against:
        among += f", and between these and {search.against:,} of the other data set"
    small = f"; smaller than {search.full_side} pixels, so that only nearly equal ones are found: {search.small:,}"
    return (
        f"near-duplicates were searched for {among}, under {search.symmetries} symmetries (turned by quarters and "
        f"mirrored), from a similarity of {search.similarity:g} on{small if search.small else ''}"
    )
