"""Record and describe how `distingo check` searched for near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distingo.features.signatures import SIDE, SYMMETRIES
from distingo.options.training import LOOSEST
from distingo.records import LabeledImage


@dataclass(frozen=True, slots=True)
class NearDuplicateSearch:
    """The extent of a search; its results are findings.

    Attributes:
        images: Number of images of the data set, which were compared with each other.
        against: Number of images of the other data set that these were also compared with; 0 without one.
        small: Number of images whose shorter side is below `full_side`, so that only nearly equal ones are found.
        full_side: In pixels.
        symmetries: Number of symmetries of the square under which images were compared; 8 are all quarter turns, with
            and without mirroring.
        similarity: Minimum similarity of near-duplicates, from 0 to 1; leaks and contradictions have their own
            thresholds.
        kept_from: Minimum similarity of the pairs that are kept, so that the threshold can be changed.
    """

    images: int
    against: int
    small: int
    similarity: float
    full_side: int = SIDE
    symmetries: int = len(SYMMETRIES)
    kept_from: float = LOOSEST


def record_search(
    images: Sequence[LabeledImage], others: Sequence[LabeledImage], similarity: float
) -> NearDuplicateSearch:
    """Record a search among the images of a data set and of another one, if any.

    Args:
        images: The usable images of the data set.
        others: Those of the other data set; empty without one.
        similarity: The threshold of near-duplicates.
    """
    small = sum(min(image.width, image.height) < SIDE for image in (*images, *others))
    return NearDuplicateSearch(len(images), len(others), small, similarity)


def describe_search(search: NearDuplicateSearch) -> str:
    """Describe a search in one sentence for the user."""
    among = f"among {search.images:,} images"
    if search.against:
        among += f", and between these and {search.against:,} of the other data set"
    small = f"; smaller than {search.full_side} pixels, so that only nearly equal ones are found: {search.small:,}"
    return (
        f"near-duplicates were searched for {among}, under {search.symmetries} symmetries (turned by quarters and "
        f"mirrored), from a similarity of {search.similarity:g} on{small if search.small else ''}"
    )
