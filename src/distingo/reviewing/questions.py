"""Findings to questions: one for each picture, and one for each pair of pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from distingo.answers import is_answered
from distingo.datasets.corrections import Corrections
from distingo.datasets.split_names import side_of_path
from distingo.findings import PICTURE_KINDS, Finding, FindingKind

_STAYS_FIRST = {"test": 0, "validation": 1, "train": 2, "": 3}


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a question.

    Attributes:
        file: As in `Source.file`.
        labels: The class names that it was found under.
        side: The side its author put it on; empty where none.
        content: Hash of its bytes when it was checked; empty where it could not be read.
        root: Folder that `file` is relative to, where that is another data set; such a picture is only shown.
    """

    file: str
    labels: tuple[str, ...]
    side: str
    content: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """All that was found about one picture, or about one pair of pictures.

    Attributes:
        findings: The gravest first.
        pictures: One, or two: then the one that is likelier to stay first.
    """

    findings: tuple[Finding, ...]
    pictures: tuple[Shown, ...]

    @property
    def counts(self) -> bool:
        """Whether a finding reaches its threshold."""
        return any(finding.counts for finding in self.findings)

    @property
    def asked(self) -> tuple[Finding, ...]:
        """The findings that reach their thresholds, or all where none does."""
        return tuple(finding for finding in self.findings if finding.counts) or self.findings

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """What a decision answers."""
        return tuple(dict.fromkeys(finding.kind for finding in self.asked))

    def suggested(self, place: int) -> tuple[str, ...]:
        """The class names that are likelier for one of the pictures: all that it should have, or none known.

        Of two that contradict each other, each one's are suggested for the other.
        """
        if len(self.pictures) == 2:
            return self.pictures[1 - place].labels if "contradiction" in self.kinds else ()
        return next((finding.suggested for finding in self.findings if finding.suggested), ())

    def is_about(self, kind: FindingKind, *, below: bool) -> bool:
        """Whether it holds a finding of a kind that reaches its threshold, or any with `below`."""
        return any(finding.kind == kind and (finding.counts or below) for finding in self.findings)

    def is_answered(self, corrections: Corrections) -> bool:
        """Whether everything that it asks was decided."""
        return all(is_answered(finding, corrections) for finding in self.asked)


def gather_questions(findings: Sequence[Finding]) -> tuple[Question, ...]:
    """Put together what is about the same picture or pair.

    Args:
        findings: In any order; the same pair may come both ways round. Those about the whole data set are left out.

    Returns:
        By kind in the order of `PICTURE_KINDS`, the worst of each first.
    """
    groups: dict[tuple[frozenset[str], str], dict[FindingKind, Finding]] = defaultdict(dict)
    for finding in findings:
        if finding.kind not in PICTURE_KINDS:
            continue
        key = frozenset((finding.file, finding.other) if finding.other else (finding.file,)), finding.other_root
        known = groups[key].get(finding.kind)
        if known is None or finding.score > known.score:
            groups[key][finding.kind] = finding
    questions = [_question(tuple(group.values())) for group in groups.values()]
    return tuple(sorted(questions, key=lambda question: _gravity(question.asked[0])))


def _gravity(finding: Finding) -> tuple[bool, int, float, str]:
    return not finding.counts, PICTURE_KINDS.index(finding.kind), -finding.score, finding.file


def _question(findings: tuple[Finding, ...]) -> Question:
    ordered = tuple(sorted(findings, key=_gravity))
    first = ordered[0]
    own = Shown(first.file, first.labels, first.side, first.content)
    if not first.other:
        return Question(ordered, (own,))
    other = Shown(first.other, first.other_labels, first.other_side, first.other_content, first.other_root)
    return Question(ordered, tuple(sorted((own, other), key=_rank)))


def _rank(picture: Shown) -> tuple[bool, int, str]:
    side = picture.side or side_of_path(picture.file) or ""
    return not picture.root, _STAYS_FIRST.get(side, 3), picture.file
