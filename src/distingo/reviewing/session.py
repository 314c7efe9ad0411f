"""A review: the questions, what is decided about them, and the pictures they are about.

How a decision is written down: together with what was decided before about the same picture.
"""

from __future__ import annotations

import datetime
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from distingo.curation.findings import Finding, FindingKind
from distingo.datasets.corrections import Action, Correction
from distingo.datasets.decoding.decode import UndecodableError
from distingo.datasets.examining import hash_content
from distingo.datasets.layouts.detection import source_of
from distingo.datasets.walking import Layout
from distingo.errors import DataError, UsageError
from distingo.records import DEFAULT_MAX_PIXELS, NO_VALUE_RANGES, Source, ValueRanges
from distingo.reviewing.decisions import (
    Changes,
    Decisions,
    EncodedPicture,
    PictureServer,
    Question,
    Shown,
    describe_picture,
    gather_questions,
)


def join_decisions(entry: Correction, before: Correction | None) -> Correction:
    """A decision together with an earlier one about the same picture.

    The kinds that the action was chosen for come first. To keep a picture for another reason than it was relabelled
    for leaves the labels as they were put right. An earlier one about other bytes is forgotten.
    """
    if before is None or (before.content and before.content != entry.content):
        return entry
    kinds = tuple(dict.fromkeys((*entry.kinds, *before.kinds)))
    relabelled_for = before.kinds[:1] if before.action == "relabel" else ()
    if entry.action == "keep" and relabelled_for and relabelled_for[0] not in entry.kinds:
        kinds = tuple(dict.fromkeys((*before.kinds, *entry.kinds)))
        return Correction(entry.file, "relabel", before.labels, entry.content, kinds, entry.at)
    return Correction(entry.file, entry.action, entry.labels, entry.content, kinds, entry.at)


def describe_decision(correction: Correction | None) -> dict[str, Any] | None:
    """A decision as the page shows it."""
    if correction is None:
        return None
    return {"action": correction.action, "labels": correction.labels, "kinds": correction.kinds}


def say_now() -> str:
    """The time, in UTC as ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person chose on the page.

    Attributes:
        question: Its number.
        action: What is to become of the picture.
        picture: Which picture of the question; ``keep`` is about all of them.
        labels: For ``relabel``, the class names.
    """

    question: int
    action: Action
    picture: int = 0
    labels: tuple[str, ...] = ()


class ReviewSession:
    """Everything that the page asks for; used by several threads.

    Attributes:
        layout: Of the data set.
        questions: In the order in which they are asked; the page knows each by its position.
        decisions: The table of corrections.
        gone: How many pictures or pairs of the findings are not there any more.
    """

    def __init__(
        self,
        layout: Layout,
        findings: Sequence[Finding],
        decisions: Decisions,
        value_ranges: ValueRanges = NO_VALUE_RANGES,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        """Sort the findings out.

        Args:
            layout: Of the data set.
            findings: Of a check.
            decisions: The table of corrections.
            value_ranges: What deep images were scaled by in the check.
            max_pixels: Larger images are not shown.

        Raises:
            DataError: None of the findings is about this data set.
        """
        self.layout = layout
        self.decisions = decisions
        self._value_ranges = value_ranges
        self._sources = {
            candidate.source.file: replace(candidate.source, value_range=value_ranges)
            for candidate in layout.candidates
        }
        self._pictures = PictureServer(max_pixels)
        every = gather_questions(findings)
        self.questions = tuple(question for question in every if all(map(self._is_there, question.pictures)))
        self.gone = len(every) - len(self.questions)
        if every and not self.questions:
            raise DataError(
                f"{layout.root}: holds none of the pictures that the findings are about (first: "
                f"{every[0].pictures[0].file}); name the data set that was checked, or check it again",
                code="data_differ",
            )
        self._about: dict[str, list[int]] = defaultdict(list)
        for number, question in enumerate(self.questions):
            for picture in question.pictures:
                if not picture.root:
                    self._about[picture.file].append(number)

    @property
    def counting(self) -> tuple[int, ...]:
        """The questions that are asked unless a person wants those below the thresholds too."""
        return tuple(number for number, question in enumerate(self.questions) if question.counts)

    @property
    def classes(self) -> tuple[str, ...]:
        """The data set's classes, and those that corrections have added."""
        added = {label for entry in self.decisions.corrections.entries for label in entry.labels}
        return tuple(sorted({*self.layout.classes, *added}))

    def describe(self) -> dict[str, Any]:
        """What the page needs before the first question."""
        return {
            "data": self.layout.root.name or str(self.layout.root),
            "task": self.layout.task,
            "classes": self.classes,
            "table": self.decisions.path.name,
            "gone": self.gone,
            "questions": [
                {
                    "counting": [finding.kind for finding in question.findings if finding.counts],
                    "below": [finding.kind for finding in question.findings if not finding.counts],
                }
                for question in self.questions
            ],
            "answered": self.answered(range(len(self.questions))),
        }

    def answered(self, numbers: Iterable[int]) -> list[int]:
        """Those of some questions that are answered."""
        corrections = self.decisions.corrections
        return [number for number in numbers if self.questions[number].is_answered(corrections)]

    def question(self, number: int) -> dict[str, Any]:
        """One question as the page shows it.

        Raises:
            UsageError: There is none of that number.
        """
        question = self._question(number)
        decided = self.decisions.corrections.by_file
        return {
            "number": number,
            "findings": [
                {
                    "kind": finding.kind,
                    "reason": finding.reason,
                    "score": finding.score,
                    "threshold": finding.threshold,
                    "counts": finding.counts,
                }
                for finding in question.findings
            ],
            "pictures": [
                self._describe_picture(question, place, None if shown.root else decided.get(shown.file))
                for place, shown in enumerate(question.pictures)
            ],
        }

    def _describe_picture(self, question: Question, place: int, decided: Correction | None) -> dict[str, Any]:
        shown = question.pictures[place]
        facts, trouble = describe_picture(self._source(shown))
        unreadable = next((finding.reason for finding in question.findings if finding.kind == "unreadable"), "")
        return {
            "file": shown.file,
            "labels": shown.labels,
            "suggested": question.suggested(place),
            "side": shown.side,
            "elsewhere": shown.root,
            "version": shown.content[:8],
            "facts": facts,
            "trouble": trouble or unreadable,
            "decision": describe_decision(decided),
        }

    def picture(self, number: int, place: int) -> EncodedPicture:
        """A picture of a question.

        Raises:
            UsageError: There is none at that place.
            DataError: It can't be shown; says why.
        """
        shown = self._shown(number, place)
        source = self._source(shown)
        try:
            return self._pictures.get(source, str(source.path.stat().st_mtime_ns))
        except OSError as error:
            raise DataError(f"can't be opened ({error.strerror})", code="cannot_read") from error

    def decide(self, asked: Asked) -> dict[str, Any]:
        """Write a decision down.

        Returns:
            The questions that are answered now and those that are open, of those that it touches.

        Raises:
            DataError: The picture has changed since the check, or the table was damaged meanwhile.
            UsageError: There is no such question, or the labels do not fit the task.
            ResourceError: The table can't be written.
        """
        question = self._question(asked.question)
        chosen = question.pictures if asked.action == "keep" else (self._shown(asked.question, asked.picture),)
        own = [shown for shown in chosen if not shown.root]
        if not own:
            raise UsageError(
                "a picture of another data set is only shown; decide about the other one", code="invalid_request"
            )
        if asked.action == "relabel" and "unreadable" in question.kinds:
            raise UsageError(
                f"{own[0].file} gives no picture, whatever its class; keep it or set it aside", code="invalid_request"
            )
        labels = self._checked_labels(asked)
        contents = {shown.file: self._current_content(shown) for shown in own}

        def choose(known: Mapping[str, Correction]) -> Changes:
            entries = [
                Correction(file, asked.action, labels, content, question.kinds, say_now())
                for file, content in contents.items()
            ]
            return {entry.file: join_decisions(entry, known.get(entry.file)) for entry in entries}

        return self._outcome(self.decisions.change(choose))

    def keep_all(self, kind: FindingKind, *, below: bool = False) -> dict[str, Any]:
        """Keep the pictures of all open questions of a kind, for that kind only; one change, which is undone at once.

        Args:
            kind: Of findings.
            below: Those below the threshold too.

        Returns:
            As `decide`; and how many questions were kept, how many of them need no other answer, and how many pictures
            have changed since the check and are left open.

        Raises:
            DataError: The table was damaged meanwhile.
            ResourceError: The table can't be written.
        """
        every = range(len(self.questions))
        closed = set(self.answered(every))
        numbers = [at for at in every if at not in closed and self.questions[at].is_about(kind, below=below)]
        contents, changed = {}, set()
        for shown in (shown for number in numbers for shown in self._question(number).pictures if not shown.root):
            try:
                contents[shown.file] = self._current_content(shown)
            except DataError:
                changed.add(shown.file)

        def choose(known: Mapping[str, Correction]) -> Changes:
            entries = [Correction(file, "keep", (), content, (kind,), say_now()) for file, content in contents.items()]
            return {entry.file: join_decisions(entry, known.get(entry.file)) for entry in entries}

        outcome = self._outcome(self.decisions.change(choose))
        closed = set(self.answered(numbers))
        return {**outcome, "kept": len(numbers), "closed": len(closed), "changed": len(changed)}

    def clear(self, number: int) -> dict[str, Any]:
        """Take back what was decided about a question's pictures.

        Raises:
            DataError: As `decide`.
            ResourceError: As `decide`.
        """
        files = [shown.file for shown in self._question(number).pictures if not shown.root]
        return self._outcome(self.decisions.change(lambda known: {file: None for file in files if file in known}))

    def undo(self) -> dict[str, Any]:
        """Take back the latest decision of this start.

        Raises:
            DataError: As `decide`.
            ResourceError: As `decide`.
        """
        return self._outcome(dict.fromkeys(self.decisions.undo()))

    def _outcome(self, changes: Changes) -> dict[str, Any]:
        touched = sorted({number for file in changes for number in self._about[file]})
        return {"touched": touched, "answered": self.answered(touched), "classes": self.classes}

    def _question(self, number: int) -> Question:
        if not 0 <= number < len(self.questions):
            raise UsageError(f"there is no question {number}", code="not_found")
        return self.questions[number]

    def _shown(self, number: int, place: int) -> Shown:
        pictures = self._question(number).pictures
        if not 0 <= place < len(pictures):
            raise UsageError(f"question {number} has no picture {place}", code="not_found")
        return pictures[place]

    def _checked_labels(self, asked: Asked) -> tuple[str, ...]:
        labels = tuple(sorted({unicodedata.normalize("NFC", label.strip()) for label in asked.labels}))
        if asked.action != "relabel":
            return ()
        if not all(labels) or any(ord(character) < 32 for label in labels for character in label):
            raise UsageError("a class needs a name", code="invalid_request")
        if self.layout.task == "single-label" and len(labels) != 1:
            raise UsageError(
                f"each picture of {self.layout.root.name} has exactly one class; choose one", code="invalid_request"
            )
        return labels

    def _current_content(self, shown: Shown) -> str:
        try:
            content = hash_content(self._source(shown))
        except UndecodableError:
            content = ""
        if shown.content and content != shown.content:
            raise DataError(
                f"{shown.file} has changed since the check; check again before you decide about it",
                code="changed_meanwhile",
            )
        return content

    def _is_there(self, shown: Shown) -> bool:
        try:
            return self._source(shown).path.is_file()
        except (DataError, OSError, ValueError):
            return False

    def _source(self, shown: Shown) -> Source:
        """Where a picture is: one of the data set, or a file below its root; a table of findings may say anything."""
        if not shown.root and shown.file in self._sources:
            return self._sources[shown.file]
        parts = PurePosixPath(shown.file)
        if parts.is_absolute() or ".." in parts.parts:
            raise DataError(f"{shown.file}: lies outside the data set", code="outside_data")
        root = Path(shown.root) if shown.root else self.layout.root
        source = source_of(root, shown.file, self._value_ranges)
        if not source.path.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{shown.file}: lies outside the data set", code="outside_data")
        return source
