"""A review session, which answers the page's requests for questions, images and decisions."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NotRequired, TypedDict

from distingo.curation.findings import Finding, FindingKind
from distingo.datasets.corrections import Action, Correction, utc_now
from distingo.datasets.decoding.decode import UndecodableError
from distingo.datasets.examining import hash_content
from distingo.datasets.walking import Layout, source_of
from distingo.errors import DataError, UsageError
from distingo.records import DEFAULT_MAX_PIXELS, NO_VALUE_RANGES, Source, Task, ValueRanges
from distingo.reviewing.decisions import (
    Changes,
    Decisions,
    EncodedImage,
    ImageEncoder,
    Question,
    QuestionImage,
    describe_image,
    gather_questions,
    join_decisions,
)


class DecisionAnswer(TypedDict):
    """A decision as the page shows it."""

    action: Action
    labels: tuple[str, ...]
    kinds: tuple[str, ...]


class ReviewAnswer(TypedDict):
    """The state of a review, sent before the first question.

    `questions` lists the kinds of each question's findings: those that reach their thresholds as ``counting``, the
    others as ``below``.
    """

    data: str
    task: Task
    classes: tuple[str, ...]
    table: str
    gone: int
    questions: list[dict[str, list[FindingKind]]]
    answered: list[int]


class FindingAnswer(TypedDict):
    """A finding as the page shows it."""

    kind: FindingKind
    reason: str
    score: float
    threshold: float
    counts: bool


_Side = TypedDict("_Side", {"side": str})  # noqa: UP013 - a key of the JSON


class ImageAnswer(_Side):
    """An image of a question as the page shows it."""

    file: str
    labels: tuple[str, ...]
    suggested: tuple[str, ...]
    elsewhere: str
    version: str
    facts: str
    trouble: str
    decision: DecisionAnswer | None


_Images = TypedDict("_Images", {"pictures": list[ImageAnswer]})  # noqa: UP013 - a key of the JSON


class QuestionAnswer(_Images):
    """A question as the page shows it."""

    number: int
    findings: list[FindingAnswer]


class Outcome(TypedDict):
    """The result of a decision: the affected questions, those of them that are answered now, and all classes.

    `ReviewSession.keep_all` adds the number of questions it kept, of those that are answered now, and of images that
    were skipped since they have changed.
    """

    touched: list[int]
    answered: list[int]
    classes: tuple[str, ...]
    kept: NotRequired[int]
    closed: NotRequired[int]
    changed: NotRequired[int]


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice made on the page.

    Attributes:
        question: The question's number.
        action: The action for the image.
        image: Index of the image in the question; ignored by ``keep``, which applies to all images.
        labels: The new class names for ``relabel``.
    """

    question: int
    action: Action
    image: int = 0
    labels: tuple[str, ...] = ()


class ReviewSession:
    """A review of one data set; thread-safe.

    Attributes:
        layout: The data set's layout.
        questions: The questions in the order in which they are shown; a question's number is its index.
        decisions: The table of corrections.
        gone: Number of questions that are left out because an image no longer exists.
    """

    def __init__(
        self,
        layout: Layout,
        findings: Sequence[Finding],
        decisions: Decisions,
        value_ranges: ValueRanges = NO_VALUE_RANGES,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        """Build the questions from findings.

        Args:
            layout: The data set's layout.
            findings: The findings of a check.
            decisions: The table of corrections.
            value_ranges: The value ranges by which the check scaled 16-bit images.
            max_pixels: Largest width times height; larger images are not shown.

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
        self._encoder = ImageEncoder(max_pixels)
        every = gather_questions(findings)
        self.questions = tuple(question for question in every if all(map(self._exists, question.images)))
        self.gone = len(every) - len(self.questions)
        if every and not self.questions:
            raise DataError(
                f"{layout.root}: holds none of the images that the findings are about (first: "
                f"{every[0].images[0].file}); name the data set that was checked, or check it again",
                code="data_differ",
            )
        self._about: dict[str, list[int]] = defaultdict(list)
        for number, question in enumerate(self.questions):
            for image in question.images:
                if not image.root:
                    self._about[image.file].append(number)

    @property
    def counting(self) -> tuple[int, ...]:
        """The numbers of the questions with a finding that reaches its threshold, which are shown first."""
        return tuple(number for number, question in enumerate(self.questions) if question.counts)

    @property
    def classes(self) -> tuple[str, ...]:
        """The data set's classes and those added by corrections, sorted."""
        added = {label for entry in self.decisions.corrections.entries for label in entry.labels}
        return tuple(sorted({*self.layout.classes, *added}))

    def describe(self) -> ReviewAnswer:
        """The state of the review, which the page needs before the first question."""
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
        """Select the numbers of the questions that are answered."""
        corrections = self.decisions.corrections
        return [number for number in numbers if self.questions[number].is_resolved(corrections)]

    def question(self, number: int) -> QuestionAnswer:
        """Describe one question for the page.

        Raises:
            UsageError: There is no question of that number.
        """
        question = self._question(number)
        corrections = self.decisions.corrections.by_file
        return {
            "number": number,
            "findings": [
                {
                    "kind": finding.kind,
                    "reason": str(finding.reason or ""),
                    "score": finding.score,
                    "threshold": finding.threshold,
                    "counts": finding.counts,
                }
                for finding in question.findings
            ],
            "pictures": [
                self._describe_image(question, at, None if image.root else corrections.get(image.file))
                for at, image in enumerate(question.images)
            ],
        }

    def _describe_image(self, question: Question, at: int, decided: Correction | None) -> ImageAnswer:
        image = question.images[at]
        facts, trouble = describe_image(self._source(image))
        decision: DecisionAnswer | None = None
        if decided is not None:
            decision = {"action": decided.action, "labels": decided.labels, "kinds": decided.kinds}
        unreadable = next(
            (str(finding.reason or "") for finding in question.findings if finding.kind == "unreadable"), ""
        )
        return {
            "file": image.file,
            "labels": image.labels,
            "suggested": question.suggested(at),
            "side": image.split,
            "elsewhere": image.root,
            "version": image.content[:8],
            "facts": facts,
            "trouble": trouble or unreadable,
            "decision": decision,
        }

    def image(self, number: int, at: int) -> EncodedImage:
        """Encode an image of a question.

        Raises:
            UsageError: There is no such question or image.
            DataError: The image can't be read.
        """
        image = self._find_image(number, at)
        source = self._source(image)
        try:
            return self._encoder.get(source, str(source.path.stat().st_mtime_ns))
        except OSError as error:
            raise DataError(f"can't be opened ({error.strerror})", code="cannot_read") from error

    def decide(self, choice: Choice) -> Outcome:
        """Write a decision, merged with any earlier one about the same image.

        Raises:
            DataError: The image has changed since the check, or the table has been damaged meanwhile.
            UsageError: There is no such question, or the labels do not fit the task.
            ResourceError: The table can't be written.
        """
        question = self._question(choice.question)
        chosen = question.images if choice.action == "keep" else (self._find_image(choice.question, choice.image),)
        own = [image for image in chosen if not image.root]
        if not own:
            raise UsageError(
                "an image of another data set is only shown; decide about the other one", code="invalid_request"
            )
        if choice.action == "relabel" and "unreadable" in question.kinds:
            raise UsageError(
                f"{own[0].file} can't be read, whatever its class; keep it or quarantine it", code="invalid_request"
            )
        labels = self._checked_labels(choice)
        contents = {image.file: self._current_content(image) for image in own}

        def choose(corrections: Mapping[str, Correction]) -> Changes:
            entries = [
                Correction(file, choice.action, labels, content, question.kinds, utc_now())
                for file, content in contents.items()
            ]
            return {entry.file: join_decisions(entry, corrections.get(entry.file)) for entry in entries}

        return self._outcome(self.decisions.change(choose))

    def keep_all(self, kind: FindingKind, *, below: bool = False) -> Outcome:
        """Keep the images of all open questions with findings of a kind, for that kind only.

        It is a single change for `undo`. Images that have changed since the check are skipped.

        Args:
            kind: The kind of findings.
            below: Whether to include findings below the threshold.
        """
        every = range(len(self.questions))
        closed = set(self.answered(every))
        numbers = [at for at in every if at not in closed and self.questions[at].is_about(kind, below=below)]
        contents, changed = {}, set()
        for image in (image for number in numbers for image in self._question(number).images if not image.root):
            try:
                contents[image.file] = self._current_content(image)
            except DataError:
                changed.add(image.file)

        def choose(corrections: Mapping[str, Correction]) -> Changes:
            entries = [Correction(file, "keep", (), content, (kind,), utc_now()) for file, content in contents.items()]
            return {entry.file: join_decisions(entry, corrections.get(entry.file)) for entry in entries}

        outcome = self._outcome(self.decisions.change(choose))
        closed = set(self.answered(numbers))
        return {**outcome, "kept": len(numbers), "closed": len(closed), "changed": len(changed)}

    def clear(self, number: int) -> Outcome:
        """Remove the decisions about a question's images; raises the same errors as `decide`."""
        files = [image.file for image in self._question(number).images if not image.root]
        return self._outcome(
            self.decisions.change(lambda corrections: {file: None for file in files if file in corrections})
        )

    def undo(self) -> Outcome:
        """Undo the latest change of this session; raises the same errors as `decide`."""
        return self._outcome(dict.fromkeys(self.decisions.undo()))

    def _outcome(self, changes: Changes) -> Outcome:
        touched = sorted({number for file in changes for number in self._about[file]})
        return {"touched": touched, "answered": self.answered(touched), "classes": self.classes}

    def _question(self, number: int) -> Question:
        if not 0 <= number < len(self.questions):
            raise UsageError(f"there is no question {number}", code="not_found")
        return self.questions[number]

    def _find_image(self, number: int, at: int) -> QuestionImage:
        images = self._question(number).images
        if not 0 <= at < len(images):
            raise UsageError(f"question {number} has no image {at}", code="not_found")
        return images[at]

    def _checked_labels(self, choice: Choice) -> tuple[str, ...]:
        labels = tuple(sorted({unicodedata.normalize("NFC", label.strip()) for label in choice.labels}))
        if choice.action != "relabel":
            return ()
        if not all(labels) or any(ord(character) < 32 for label in labels for character in label):
            raise UsageError("a class needs a name", code="invalid_request")
        if self.layout.task == "single-label" and len(labels) != 1:
            raise UsageError(
                f"each image of {self.layout.root.name} has exactly one class; choose one", code="invalid_request"
            )
        return labels

    def _current_content(self, image: QuestionImage) -> str:
        try:
            content = hash_content(self._source(image))
        except UndecodableError:
            content = ""
        if image.content and content != image.content:
            raise DataError(
                f"{image.file} has changed since the check; check again before you decide about it",
                code="changed_meanwhile",
            )
        return content

    def _exists(self, image: QuestionImage) -> bool:
        try:
            return self._source(image).path.is_file()
        except (DataError, OSError, ValueError):
            return False

    def _source(self, image: QuestionImage) -> Source:
        """Find an image in the data set or below its root; other paths in a table of findings are refused."""
        if not image.root and image.file in self._sources:
            return self._sources[image.file]
        parts = PurePosixPath(image.file)
        if parts.is_absolute() or ".." in parts.parts:
            raise DataError(f"{image.file}: is outside the data set", code="outside_data")
        root = Path(image.root) if image.root else self.layout.root
        source = source_of(root, image.file, self._value_ranges)
        if not source.path.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{image.file}: is outside the data set", code="outside_data")
        return source
