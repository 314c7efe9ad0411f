"""Findings about pairs of images (duplicates, also across splits, classes and data sets) and outliers.

An outlier is far from its nearest neighbors among the embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.curation.findings import MINIMUM_SCORES, Finding, FindingKind
from distingo.messages.notes import Note, note
from distingo.near_duplicates.search import CopyPair
from distingo.near_duplicates.signatures import SYMMETRY_CODES
from distingo.records import LabeledImage, ManifestRow

_REMOVED_FIRST = {"train": 0, "": 1, "validation": 2, "test": 3}
"""Order of splits in which an image of a pair becomes the finding's file, which is removed first."""

Thresholds = Mapping[FindingKind, float]


@dataclass(frozen=True, slots=True)
class PairImage:
    """One image of a pair.

    Attributes:
        file: As in `Source.file`.
        labels: Its classes.
        split: Its predefined split; empty if there is none.
        content: Its content hash.
        root: Root of the other data set if the image is from there, otherwise empty.
    """

    file: str
    labels: tuple[str, ...]
    split: str
    content: str
    root: str = ""

    @classmethod
    def of(cls, image: LabeledImage | ManifestRow, root: str = "") -> PairImage:
        """Create the record from an image or a row of the manifest."""
        if isinstance(image, ManifestRow):
            return cls(image.file, image.labels, image.split or "", image.content, root)
        return cls(image.source.file, image.labels, image.predefined_split or "", image.content, root)


def duplicate_findings(manifest: Sequence[ManifestRow], thresholds: Thresholds) -> Iterator[Finding]:
    """Create findings with score 1 for files with the same bytes or pixels, according to the manifest.

    Args:
        manifest: Rows of all files.
        thresholds: Thresholds by kind.

    Yields:
        ``contradiction`` if the classes differ, ``leak`` if only the splits differ, otherwise ``duplicate``.
    """
    rows = {row.file: row for row in manifest}
    reported = set()
    for row in manifest:
        pair = frozenset((row.file, row.same_as))
        if row.status in {"duplicate", "conflict"} and row.same_as in rows and pair not in reported:
            reported.add(pair)
            reason = row.reason or note("same-pixels", file=row.same_as)
            yield _relate(PairImage.of(row), PairImage.of(rows[row.same_as]), 1.0, reason, thresholds)


def pair_findings(
    images: Sequence[LabeledImage],
    others: Sequence[LabeledImage],
    other_root: str,
    pairs: Iterable[CopyPair],
    thresholds: Thresholds,
) -> Iterator[Finding]:
    """Create findings for pairs of images of the same scene, scored by their similarity.

    Args:
        images: The usable images, with indices from 0 in the pairs.
        others: Images of another data set, with the following indices; may be empty.
        other_root: Root of the other data set.
        pairs: Pairs from `find_copies`.
        thresholds: Thresholds by kind.

    Yields:
        As `duplicate_findings`, with ``near-duplicate`` for ``duplicate``; ``leak`` for pairs across the data sets.
    """
    for pair in pairs:
        if pair.first >= len(images):
            continue
        first = PairImage.of(images[pair.first])
        if pair.second < len(images):
            second = PairImage.of(images[pair.second])
        else:
            other = others[pair.second - len(images)]
            if other.pixels == images[pair.first].pixels:  # reported by `leak_findings`
                continue
            second = PairImage.of(other, other_root)
        yield _relate(first, second, pair.similarity, None, thresholds, SYMMETRY_CODES[pair.symmetry])


def leak_findings(
    images: Sequence[LabeledImage], others: Sequence[LabeledImage], other_root: str, thresholds: Thresholds
) -> Iterator[Finding]:
    """Create findings with score 1 for images whose pixels also occur in another data set.

    Args:
        images: The usable images.
        others: Images of the other data set.
        other_root: Root of the other data set.
        thresholds: Thresholds by kind.

    Yields:
        ``leak``.
    """
    by_pixels = {image.pixels: image for image in reversed(others)}
    for image in images:
        other = by_pixels.get(image.pixels)
        if other is not None:
            shared = "bytes" if other.content == image.content else "pixels"
            reason = note(f"same-{shared}", file=other.source.file)
            yield _relate(PairImage.of(image), PairImage.of(other, other_root), 1.0, reason, thresholds)


def _relate(
    first: PairImage,
    other: PairImage,
    score: float,
    reason: Note | None,
    thresholds: Thresholds,
    symmetry: str = "",
) -> Finding:
    """Create the finding of a pair; without a reason, the images are near-duplicates under a rotation or reflection."""
    file, partner, near = first, other, reason is None
    if near and not other.root:
        file, partner = sorted((other, first), key=lambda image: _REMOVED_FIRST[image.split])
    if reason is None:
        reason = note("same-scene", file=partner.file)
        if symmetry:
            reason = note("same-scene-turned", file=partner.file, turn=note(symmetry))
    kind: FindingKind
    if partner.root:
        kind = "leak"
    elif file.labels != partner.labels:
        kind = "contradiction"
        if near and partner.labels:
            reason = note("in-classes", said=reason, labels=partner.labels)
        elif near:
            reason = note("in-no-class", said=reason)
    elif file.split != partner.split:
        kind = "leak"
    else:
        kind = "near-duplicate" if near else "duplicate"
    if file.split != partner.split and not partner.root:
        reason = note("on-split", said=reason, split=note(partner.split or "unnamed"))
    return Finding(
        kind,
        file.file,
        score,
        thresholds[kind],
        file.labels,
        file.split,
        file.content,
        partner.file,
        partner.labels,
        partner.root,
        reason=reason,
        other_split=partner.split,
        other_content=partner.content,
    )


NEIGHBORS = 10

_FAR = 3.5
"""Number of robust standard deviations with a score of one half."""

Floats = npt.NDArray[np.float32]


def comparable(embeddings: Floats, *, deep: bool) -> Floats:
    """Scale embeddings so that their distances measure similarity.

    Args:
        embeddings: Float32 (n, features).
        deep: True for features of a network: rows are scaled to length 1, which detected outliers best in experiments.
            False for descriptors: columns are standardized.

    Returns:
        Float32 (n, features).
    """
    if deep:
        scaled: Floats = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return scaled
    deviation = embeddings.std(axis=0)
    centered: Floats = (embeddings - embeddings.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return centered


def nearest(embeddings: Floats, count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Find the nearest neighbors of each image.

    Args:
        embeddings: Float32 (n, features), n at least 2.
        count: Number of neighbors, limited to n - 1.

    Returns:
        Distances, float (n, count), and indices, int (n, count), the nearest first.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(count, len(embeddings) - 1), algorithm="brute").fit(embeddings)
    distances, indices = search.kneighbors()
    return distances, indices


def outlier_findings(
    images: Sequence[LabeledImage], distances: npt.NDArray[np.float64], threshold: float
) -> Iterator[Finding]:
    """Find images that are far from their nearest neighbors.

    The mean distance to the nearest (Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers from large
    data sets, 2000), on a logarithmic scale, in robust standard deviations from its median: z.

    Args:
        images: The usable images.
        distances: Distances to the nearest neighbors (n, count).
        threshold: Score from which a finding counts.

    Yields:
        ``outlier`` with score 1 - 2^(-z / 3.5), if it is at least `MINIMUM_SCORES`.
    """
    if len(images) <= NEIGHBORS:
        return
    mean = np.maximum(distances.mean(axis=1), 1e-9)
    usual = float(np.median(mean))
    away = np.log(mean / usual)
    deviation = 1.4826 * max(float(np.median(np.abs(away))), 1e-3)
    scores = 1 - 2.0 ** -(np.maximum(away / deviation, 0) / _FAR)
    for at in np.flatnonzero(scores >= MINIMUM_SCORES["outlier"]).tolist():
        image = images[at]
        reason = note("far-from-nearest", deviations=round(float(away[at]) / deviation, 1))
        file_fields = (image.labels, image.predefined_split or "", image.content)
        yield Finding("outlier", image.source.file, float(scores[at]), threshold, *file_fields, reason=reason)


def near_pairs(places: npt.NDArray[np.intp], count: int = 2) -> list[tuple[int, int]]:
    """Unique pairs of each image with its first `count` neighbors, as candidates for near-duplicates."""
    pairs = {
        (min(at, int(neighbor)), max(at, int(neighbor))) for at, row in enumerate(places[:, :count]) for neighbor in row
    }
    return sorted(pairs)
