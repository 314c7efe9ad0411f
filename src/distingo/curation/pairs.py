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
from distingo.records import ManifestRow, Picture

_LEFT_FIRST = {"train": 0, "": 1, "validation": 2, "test": 3}
"""Of a pair across sides that is named as the finding's file which is to be put away first."""

Thresholds = Mapping[FindingKind, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture of a pair.

    Attributes:
        file: As in `Source.file`.
        labels: Its classes.
        side: Where its author put it; empty where nowhere.
        content: Hash of its bytes.
        root: The folder of the other data set, if it is from there; else empty.
    """

    file: str
    labels: tuple[str, ...]
    side: str
    content: str
    root: str = ""

    @classmethod
    def of(cls, picture: Picture | ManifestRow, root: str = "") -> Seen:
        """What is seen of a picture, or of a row of the manifest."""
        if isinstance(picture, ManifestRow):
            return cls(picture.file, picture.labels, picture.side or "", picture.content, root)
        return cls(picture.source.file, picture.labels, picture.given_side or "", picture.content, root)


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
    pictures: Sequence[Picture],
    others: Sequence[Picture],
    other_root: str,
    pairs: Iterable[CopyPair],
    thresholds: Thresholds,
) -> Iterator[Finding]:
    """Pairs that show the same scene, scored by their similarity.

    Args:
        pictures: The usable ones, positions 0 and up in the pairs.
        others: Those of another data set, whose positions follow; may be empty.
        other_root: Its folder.
        pairs: As `find_copies` gives them.
        thresholds: By kind.

    Yields:
        As `duplicate_findings`, with ``near-duplicate`` for ``duplicate``; ``leak`` for a pair across the data sets.
    """
    for pair in pairs:
        if pair.first >= len(pictures):
            continue
        first = Seen.of(pictures[pair.first])
        if pair.second < len(pictures):
            second = Seen.of(pictures[pair.second])
        else:
            other = others[pair.second - len(pictures)]
            if other.pixels == pictures[pair.first].pixels:  # `leak_findings` has it
                continue
            second = Seen.of(other, other_root)
        yield _relate(first, second, pair.similarity, IN_WORDS[pair.symmetry], thresholds, near=True)


def leak_findings(
    pictures: Sequence[Picture], others: Sequence[Picture], other_root: str, thresholds: Thresholds
) -> Iterator[Finding]:
    """Pictures whose pixels are in another data set too, with score 1.

    Args:
        pictures: The usable ones.
        others: Those of the other data set.
        other_root: Its folder.
        thresholds: By kind.

    Yields:
        ``leak``.
    """
    known = {picture.pixels: picture for picture in reversed(others)}
    for picture in pictures:
        other = known.get(picture.pixels)
        if other is not None:
            shared = "bytes" if other.content == picture.content else "pixels"
            reason = f"the same {shared} as {other.source.file}"
            yield _relate(Seen.of(picture), Seen.of(other, other_root), 1.0, reason, thresholds)


def _relate(
    one: Seen, other: Seen, score: float, reason: str, thresholds: Thresholds, *, near: bool = False
) -> Finding:
    """Relate two images; of near-duplicates the reason is how the second one is turned."""
    file, beside = one, other
    if near and not other.root:
        file, beside = sorted((other, one), key=lambda seen: _LEFT_FIRST[seen.side])
    if near:
        reason = f"the same scene as {beside.file}" + (f", {reason}" if reason else "")
    kind: FindingKind
    if beside.root:
        kind = "leak"
    elif file.labels != beside.labels:
        kind = "contradiction"
        reason += f", which is in {', '.join(beside.labels) or 'no class'}" if near else ""
    elif file.side != beside.side:
        kind = "leak"
    else:
        kind = "near-duplicate" if near else "duplicate"
    if file.side != beside.side and not beside.root:
        reason += f", on the {beside.side or 'unnamed'} side"
    return Finding(
        kind,
        file.file,
        score,
        thresholds[kind],
        file.labels,
        file.side,
        file.content,
        beside.file,
        beside.labels,
        beside.root,
        reason=reason,
        other_side=beside.side,
        other_content=beside.content,
    )


NEIGHBOURS = 10

_FAR = 3.5
"""Robust standard deviations that make a score of one half."""

Floats = npt.NDArray[np.float32]


def comparable(embeddings: Floats, *, deep: bool) -> Floats:
    """Bring embeddings to where distances mean likeness.

    Args:
        embeddings: Float32 (n, features).
        deep: Of a network: rows are scaled to length 1, which found pictures of another kind best in all that was
            tried; classic descriptors: each column is centred and scaled to deviation 1.

    Returns:
        Float32 (n, features).
    """
    if deep:
        scaled: Floats = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return scaled
    deviation = embeddings.std(axis=0)
    centred: Floats = (embeddings - embeddings.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return centred


def nearest(embeddings: Floats, count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """The nearest neighbours of each picture among the others.

    Args:
        embeddings: Float32 (n, features), at least two.
        count: How many neighbours, fewer where there are fewer pictures.

    Returns:
        Distances float (n, count) and positions (n, count), the nearest first.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(count, len(embeddings) - 1), algorithm="brute").fit(embeddings)
    distances, places = search.kneighbors()
    return distances, places


def outlier_findings(
    pictures: Sequence[Picture], distances: npt.NDArray[np.float64], threshold: float
) -> Iterator[Finding]:
    """Pictures whose nearest are far away.

    The mean distance to the nearest (Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers from large
    data sets, 2000), on a logarithmic scale, in robust standard deviations from its median: z.

    Args:
        pictures: The usable ones.
        distances: To the nearest neighbours (n, count).
        threshold: From which score on one counts.

    Yields:
        ``outlier`` with score 1 - 2^(-z / 3.5), from which they are kept.
    """
    if len(pictures) <= NEIGHBOURS:
        return
    mean = np.maximum(distances.mean(axis=1), 1e-9)
    usual = float(np.median(mean))
    away = np.log(mean / usual)
    deviation = 1.4826 * max(float(np.median(np.abs(away))), 1e-3)
    scores = 1 - 2.0 ** -(np.maximum(away / deviation, 0) / _FAR)
    for at in np.flatnonzero(scores >= KEPT_FROM["outlier"]).tolist():
        picture = pictures[at]
        reason = f"{away[at] / deviation:.1f} deviations further from its nearest pictures than is usual"
        found = (picture.labels, picture.given_side or "", picture.content)
        yield Finding("outlier", picture.source.file, float(scores[at]), threshold, *found, reason=reason)


def near_pairs(places: npt.NDArray[np.intp], count: int = 2) -> list[tuple[int, int]]:
    """Pairs of each picture with its first few neighbours, each once, for a close look."""
    pairs = {(min(at, int(place)), max(at, int(place))) for at, row in enumerate(places[:, :count]) for place in row}
    return sorted(pairs)
