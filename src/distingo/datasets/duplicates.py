"""Decide which of several copies of the same image is used and which are left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from distingo.datasets.cache.products import Facts
from distingo.datasets.walking import Candidate
from distingo.messages.notes import Note, note
from distingo.records import ManifestStatus

_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2, None: 3}


@dataclass(frozen=True, slots=True)
class Examined:
    """A candidate together with its content hash and decoding facts.

    Attributes:
        candidate: The file.
        content: Hash of its bytes; empty if it can't be opened.
        facts: What decoding it revealed.
    """

    candidate: Candidate
    content: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a file is used.

    Attributes:
        status: As in the manifest.
        reason: As in the manifest.
        same_as: As in the manifest.
    """

    status: ManifestStatus
    reason: Note | None = None
    same_as: str = ""


def evaluate(examined: Sequence[Examined]) -> list[Verdict]:
    """Decide for every file whether it is used.

    Of images with identical bytes or identical pixels, one is used: the one in the test split, otherwise in the
    validation split, otherwise the first by name. So nothing leaks from test to train, and a predefined test set stays
    unchanged. If copies have different classes (or sets of labels), all of them are left out, as the correct one is
    unknown.

    Args:
        examined: All candidates of a dataset, sorted by name.

    Returns:
        One verdict for each, in the same order.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(examined):
        groups[entry.facts.pixels or entry.content].append(index)
    verdicts = [Verdict("used" if entry.facts.usable else "unusable", entry.facts.reason) for entry in examined]
    for key, indices in groups.items():
        if len(indices) == 1 or not key:
            continue
        members = [examined[index] for index in indices]
        for index, verdict in zip(indices, _judge_group(members), strict=True):
            verdicts[index] = verdict
    return verdicts


def _judge_group(members: list[Examined]) -> list[Verdict]:
    if not members[0].facts.usable:
        first = members[0].candidate.source.file
        return [Verdict("unusable", member.facts.reason, first if at else "") for at, member in enumerate(members)]
    classes = {member.candidate.labels for member in members}
    if len(classes) > 1:
        return [_conflict(member, members) for member in members]
    used = min(members, key=lambda member: _KEPT_FIRST[member.candidate.split])
    return [Verdict("used", member.facts.reason) if member is used else _duplicate(member, used) for member in members]


def _duplicate(member: Examined, kept: Examined) -> Verdict:
    return Verdict(
        "duplicate",
        note(f"same-{_shared(member, kept)}", file=kept.candidate.source.file),
        kept.candidate.source.file,
    )


def _conflict(member: Examined, members: list[Examined]) -> Verdict:
    other = next(entry for entry in members if entry.candidate.labels != member.candidate.labels)
    names = sorted({", ".join(entry.candidate.labels) or "no label" for entry in members})
    kind = "classes" if all(len(entry.candidate.labels) == 1 for entry in members) else "labels"
    reason = note(f"same-{_shared(member, other)}-other-{kind}", count=len(names), names=tuple(names))
    return Verdict("conflict", reason, other.candidate.source.file)


def _shared(one: Examined, other: Examined) -> str:
    return "bytes" if one.content == other.content else "pixels"
