"""Findings about pairs: duplicates, duplicates on another split or under another class; and outliers.

An outlier is far from its nearest neighbors among the embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.curation.findings import Finding, FindingKind
from distingo.curation.thresholds import KEPT_FROM
from distingo.features.signatures import IN_WORDS
from distingo.near_duplicates.search import CopyPair
from distingo.records import LabeledImage, ManifestRow

_LEFT_FIRST = {"train": 0, "": 1, "validation": 2, "test": 3}
"""Of a pair across sides that is named as the finding's file which is to be put away first."""

Thresholds = Mapping[FindingKind, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """One image of a pair.

    Attributes:
        file: As in `Source.file`.
        labels: Its classes.
        split: Where its author put it; empty where nowhere.
        content: Hash of its bytes.
        root: The folder of the other data set, if it is from there; else empty.
    """

    file: str
    labels: tuple[str, ...]
    split: str
    content: str
    root: str = ""

    @classmethod
    def of(cls, image: LabeledImage | ManifestRow, root: str = "") -> Seen:
        """What is seen of an image, or of a row of the manifest."""
        if isinstance(image, ManifestRow):
            return cls(image.file, image.labels, image.split or "", image.content, root)
        return cls(image.source.file, image.labels, image.given_split or "", image.content, root)


def duplicate_findings(manifest: Sequence[ManifestRow], thresholds: Thresholds) -> Iterator[Finding]:
    """Files with the bytes or pixels of another, as the manifest names them, with score 1.

    Args:
        manifest: Of all files found.
        thresholds: By kind.

    Yields:
        ``contradiction`` where the classes differ, ``leak`` where only the sides do, else ``duplicate``.
    """
    rows = {row.file: row for row in manifest}
    named = set()
    for row in manifest:
        pair = frozenset((row.file, row.same_as))
        if row.status in {"duplicate", "conflict"} and row.same_as in rows and pair not in named:
            named.add(pair)
            yield _relate(Seen.of(row), Seen.of(rows[row.same_as]), 1.0, str(row.reason), thresholds)


def pair_findings(
    images: Sequence[LabeledImage],
    others: Sequence[LabeledImage],
    other_root: str,
    pairs: Iterable[CopyPair],
    thresholds: Thresholds,
) -> Iterator[Finding]:
    """Pairs that show the same scene, scored by their similarity.

    Args:
        images: The usable ones, positions 0 and up in the pairs.
        others: Those of another data set, whose positions follow; may be empty.
        other_root: Its folder.
        pairs: As `find_copies` gives them.
        thresholds: By kind.

    Yields:
        As `duplicate_findings`, with ``near-duplicate`` for ``duplicate``; ``leak`` for a pair across the data sets.
    """
    for pair in pairs:
        if pair.first >= len(images):
            continue
        first = Seen.of(images[pair.first])
        if pair.second < len(images):
            second = Seen.of(images[pair.second])
        else:
            other = others[pair.second - len(images)]
            if other.pixels == images[pair.first].pixels:  # `leak_findings` has it
                continue
            second = Seen.of(other, other_root)
        yield _relate(first, second, pair.similarity, IN_WORDS[pair.symmetry], thresholds, near=True)


def leak_findings(
    images: Sequence[LabeledImage], others: Sequence[LabeledImage], other_root: str, thresholds: Thresholds
) -> Iterator[Finding]:
    """Images whose pixels are in another data set too, with score 1.

    Args:
        images: The usable ones.
        others: Those of the other data set.
        other_root: Its folder.
        thresholds: By kind.

    Yields:
        ``leak``.
    """
    known = {image.pixels: image for image in reversed(others)}
    for image in images:
        other = known.get(image.pixels)
        if other is not None:
            shared = "bytes" if other.content == image.content else "pixels"
            reason = f"the same {shared} as {other.source.file}"
            yield _relate(Seen.of(image), Seen.of(other, other_root), 1.0, reason, thresholds)


def _relate(
    one: Seen, other: Seen, score: float, reason: str, thresholds: Thresholds, *, near: bool = False
) -> Finding:
    """Relate two images; of near-duplicates the reason is how the second one is turned."""
    file, beside = one, other
    if near and not other.root:
        file, beside = sorted((other, one), key=lambda seen: _LEFT_FIRST[seen.split])
    if near:
        reason = f"the same scene as {beside.file}" + (f", {reason}" if reason else "")
    kind: FindingKind
    if beside.root:
        kind = "leak"
    elif file.labels != beside.labels:
        kind = "contradiction"
        reason += f", which is in {', '.join(beside.labels) or 'no class'}" if near else ""
    elif file.split != beside.split:
        kind = "leak"
    else:
        kind = "near-duplicate" if near else "duplicate"
    if file.split != beside.split and not beside.root:
        reason += f", on the {beside.split or 'unnamed'} side"
    return Finding(
        kind,
        file.file,
        score,
        thresholds[kind],
        file.labels,
        file.split,
        file.content,
        beside.file,
        beside.labels,
        beside.root,
        reason=reason,
        other_split=beside.split,
        other_content=beside.content,
    )


NEIGHBORS = 10

_FAR = 3.5
"""Robust standard deviations that make a score of one half."""

Floats = npt.NDArray[np.float32]


def comparable(embeddings: Floats, *, deep: bool) -> Floats:
    """Bring embeddings to where distances mean likeness.

    Args:
        embeddings: Float32 (n, features).
        deep: Of a network: rows are scaled to length 1, which found images of another kind best in all that was
            tried; classic descriptors: each column is centered and scaled to deviation 1.

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
    """The nearest neighbors of each image among the others.

    Args:
        embeddings: Float32 (n, features), at least two.
        count: How many neighbors, fewer where there are fewer images.

    Returns:
        Distances float (n, count) and positions (n, count), the nearest first.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(count, len(embeddings) - 1), algorithm="brute").fit(embeddings)
    distances, places = search.kneighbors()
    return distances, places


def outlier_findings(
    images: Sequence[LabeledImage], distances: npt.NDArray[np.float64], threshold: float
) -> Iterator[Finding]:
    """Images whose nearest are far away.

    The mean distance to the nearest (Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers from large
    data sets, 2000), on a logarithmic scale, in robust standard deviations from its median: z.

    Args:
        images: The usable ones.
        distances: To the nearest neighbors (n, count).
        threshold: From which score on one counts.

    Yields:
        ``outlier`` with score 1 - 2^(-z / 3.5), from which they are kept.
    """
    if len(images) <= NEIGHBORS:
        return
    mean = np.maximum(distances.mean(axis=1), 1e-9)
    usual = float(np.median(mean))
    away = np.log(mean / usual)
    deviation = 1.4826 * max(float(np.median(np.abs(away))), 1e-3)
    scores = 1 - 2.0 ** -(np.maximum(away / deviation, 0) / _FAR)
    for at in np.flatnonzero(scores >= KEPT_FROM["outlier"]).tolist():
        image = images[at]
        reason = f"{away[at] / deviation:.1f} deviations further from its nearest pictures than is usual"
        found = (image.labels, image.given_split or "", image.content)
        yield Finding("outlier", image.source.file, float(scores[at]), threshold, *found, reason=reason)


def near_pairs(places: npt.NDArray[np.intp], count: int = 2) -> list[tuple[int, int]]:
    """Pairs of each image with its first few neighbors, each once, for a close look."""
    pairs = {(min(at, int(place)), max(at, int(place))) for at, row in enumerate(places[:, :count]) for place in row}
    return sorted(pairs)
