"""What `distingo check` searched for near-duplicates, as a record and as a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distingo.features.signatures import SIDE, SYMMETRIES
from distingo.options.training import LOOSEST
from distingo.records import LabeledImage


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


def record_search(
    images: Sequence[LabeledImage], others: Sequence[LabeledImage], similarity: float
) -> NearDuplicateSearch:
    """Record a search among a data set's images and, where there is another data set, its images.

    Args:
        images: The usable ones of the data set.
        others: Those of the other data set; empty without one.
        similarity: The threshold of near-duplicates.
    """
    small = sum(min(image.width, image.height) < SIDE for image in (*images, *others))
    return NearDuplicateSearch(len(images), len(others), small, similarity)


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
