"""Findings about pairs: copies, copies on another side of the split, copies under another class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from distingo.features.symmetries import IN_WORDS
from distingo.findings import Finding, FindingKind
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


def judge_exact(manifest: Sequence[ManifestRow], thresholds: Thresholds) -> Iterator[Finding]:
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
            yield _relate(Seen.of(row), Seen.of(rows[row.same_as]), 1.0, row.reason, thresholds)


def judge_copies(
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
        As `judge_exact`, with ``near-duplicate`` in place of ``duplicate``; ``leak`` for a pair across the data sets.
    """
    for pair in pairs:
        if pair.first >= len(pictures):
            continue
        first = Seen.of(pictures[pair.first])
        if pair.second < len(pictures):
            second = Seen.of(pictures[pair.second])
        else:
            other = others[pair.second - len(pictures)]
            if other.pixels == pictures[pair.first].pixels:  # `judge_against` has it
                continue
            second = Seen.of(other, other_root)
        how = IN_WORDS[pair.symmetry]
        reason = f"the same scene as {second.file}" + (f", {how}" if how else "")
        yield _relate(first, second, pair.similarity, reason, thresholds, near=True)


def judge_against(
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
    file, beside = one, other
    if near and not other.root:
        file, beside = sorted((other, one), key=lambda seen: _LEFT_FIRST[seen.side])
        reason = reason.replace(f"as {other.file}", f"as {beside.file}")
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
