"""Review questions made from findings, their images, and the reviewer's decisions in the table of corrections.

There is one question for each image and each pair of images. A decision is stored before the page is notified of it.
Images are reencoded upright and in bounded size.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.curation.findings import IMAGE_KINDS, Finding, FindingKind, is_resolved
from distingo.datasets.corrections import Correction, Corrections, is_corrections, read_corrections, write_corrections
from distingo.datasets.decoding.decode import NO_LIMIT, open_source, read_bytes, read_header
from distingo.datasets.walking import split_of_path
from distingo.errors import DataError, option
from distingo.files import remove_half_written_file
from distingo.records import DEFAULT_MAX_PIXELS, Source
from distingo.report.text.wording import file_size

Changes = Mapping[str, Correction | None]
"""The new decision for each file; None removes an earlier one."""

_Stamp = tuple[int, int, int] | None


class Decisions:
    """The table of corrections and the history of its changes; thread-safe.

    The table is read again whenever another program has changed it.

    Attributes:
        path: The table's path.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        """Read the table if it exists.

        Args:
            path: The table's path.
            root: The data set's root; None for the table's folder.

        Raises:
            DataError: The file is not a table of corrections or is damaged.
        """
        self.path = path
        self._root = root or path.parent
        self._lock = threading.RLock()
        self._entries: dict[str, Correction] = {}
        self._stamp: _Stamp = None
        self._history: list[dict[str, Correction | None]] = []
        if path.exists() and not is_corrections(path):
            raise DataError(
                f"{path}: is no table of corrections; name another file by {option('corrections')} FILE",
                code="wrong_format",
                parameter="corrections",
            )
        remove_half_written_file(path)
        self._refresh()

    @property
    def corrections(self) -> Corrections:
        """All current decisions."""
        with self._lock:
            return Corrections(self.path, tuple(self._entries.values()))

    def change(self, choose: Callable[[Mapping[str, Correction]], Changes]) -> Changes:
        """Change the table.

        Args:
            choose: Called with the current decisions by file; returns the changes.

        Returns:
            The changes.

        Raises:
            DataError: The table has been damaged meanwhile; it is not changed.
            ResourceError: The table can't be written; it is not changed.
        """
        with self._lock:
            self._refresh()
            changes = choose(self._entries)
            before = {file: self._entries.get(file) for file in changes}
            self._write(changes)
            self._history.append(before)
            return changes

    def undo(self) -> tuple[str, ...]:
        """Undo the latest change that was made through this object.

        Returns:
            The files that are affected; empty if there is no change to undo.

        Raises:
            DataError: As `change`.
            ResourceError: As `change`.
        """
        with self._lock:
            if not self._history:
                return ()
            self._refresh()
            self._write(self._history[-1])
            return tuple(self._history.pop())

    def _write(self, changes: Changes) -> None:
        entries = dict(self._entries)
        for file, correction in changes.items():
            if correction is None:
                entries.pop(file, None)
            else:
                entries[file] = correction
        write_corrections(Corrections(self.path, tuple(entries.values())))
        self._entries, self._stamp = entries, self._read_stamp()

    def _refresh(self) -> None:
        stamp = self._read_stamp()
        if stamp != self._stamp:
            self._entries = dict(read_corrections(self.path, self._root).by_file) if stamp else {}
            self._stamp = stamp

    def _read_stamp(self) -> _Stamp:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def join_decisions(entry: Correction, before: Correction | None) -> Correction:
    """Merge a decision with an earlier one about the same image.

    The kinds of findings that the action was chosen for come first. If an image was relabeled because of one kind and
    is now kept in spite of another, the corrected labels stay. An earlier decision about other content is discarded.
    """
    if before is None or (before.content and before.content != entry.content):
        return entry
    kinds = tuple(dict.fromkeys((*entry.kinds, *before.kinds)))
    relabeled_for = before.kinds[:1] if before.action == "relabel" else ()
    if entry.action == "keep" and relabeled_for and relabeled_for[0] not in entry.kinds:
        kinds = tuple(dict.fromkeys((*before.kinds, *entry.kinds)))
        return Correction(entry.file, "relabel", before.labels, entry.content, kinds, entry.at)
    return Correction(entry.file, entry.action, entry.labels, entry.content, kinds, entry.at)


_STAYS_FIRST = {"test": 0, "validation": 1, "train": 2, "": 3}


@dataclass(frozen=True, slots=True)
class QuestionImage:
    """One image of a question.

    Attributes:
        file: As in `Source.file`.
        labels: Its class names in the data set.
        split: The data set's own split of the image; empty if there is none.
        content: Hash of the image's bytes when it was checked; empty if it could not be read.
        root: If the image is of another data set, the folder that `file` is relative to; such images are only shown.
    """

    file: str
    labels: tuple[str, ...]
    split: str
    content: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """All findings about one image, or about one pair of images.

    Attributes:
        findings: The most severe first.
        images: One image or two; of two, the one that should rather be kept is first.
    """

    findings: tuple[Finding, ...]
    images: tuple[QuestionImage, ...]

    @property
    def counts(self) -> bool:
        """Whether a finding reaches its threshold."""
        return any(finding.counts for finding in self.findings)

    @property
    def relevant_findings(self) -> tuple[Finding, ...]:
        """The findings that reach their thresholds, or all findings if none does."""
        return tuple(finding for finding in self.findings if finding.counts) or self.findings

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """The kinds of the findings that a decision is about."""
        return tuple(dict.fromkeys(finding.kind for finding in self.relevant_findings))

    def suggested(self, number: int) -> tuple[str, ...]:
        """All suggested class names for the image with this index; empty if there is no suggestion.

        If two images contradict each other, the labels of each one are suggested for the other.
        """
        if len(self.images) == 2:
            return self.images[1 - number].labels if "contradiction" in self.kinds else ()
        return next((finding.suggested for finding in self.findings if finding.suggested), ())

    def is_about(self, kind: FindingKind, *, below: bool) -> bool:
        """Whether a finding of the kind reaches its threshold; with `below`, whether there is any of the kind."""
        return any(finding.kind == kind and (finding.counts or below) for finding in self.findings)

    def is_resolved(self, corrections: Corrections) -> bool:
        """Whether there is a decision about all findings in `relevant_findings`."""
        return all(is_resolved(finding, corrections) for finding in self.relevant_findings)


def gather_questions(findings: Sequence[Finding]) -> tuple[Question, ...]:
    """Group findings about the same image or pair into questions.

    Args:
        findings: Findings in any order; a pair may occur in both orders. Those about the whole data set are ignored.

    Returns:
        Questions that reach a threshold first, then by kind in the order of `IMAGE_KINDS`, then by descending score.
    """
    groups: dict[tuple[frozenset[str], str], dict[FindingKind, Finding]] = defaultdict(dict)
    for finding in findings:
        if finding.kind not in IMAGE_KINDS:
            continue
        key = frozenset((finding.file, finding.other) if finding.other else (finding.file,)), finding.other_root
        previous = groups[key].get(finding.kind)
        if previous is None or finding.score > previous.score:
            groups[key][finding.kind] = finding
    questions = [_question(tuple(group.values())) for group in groups.values()]
    return tuple(sorted(questions, key=lambda question: _gravity(question.relevant_findings[0])))


def _gravity(finding: Finding) -> tuple[bool, int, float, str]:
    return not finding.counts, IMAGE_KINDS.index(finding.kind), -finding.score, finding.file


def _question(findings: tuple[Finding, ...]) -> Question:
    ordered = tuple(sorted(findings, key=_gravity))
    first = ordered[0]
    own = QuestionImage(first.file, first.labels, first.split, first.content)
    if not first.other:
        return Question(ordered, (own,))
    other = QuestionImage(first.other, first.other_labels, first.other_split, first.other_content, first.other_root)
    return Question(ordered, tuple(sorted((own, other), key=_rank)))


def _rank(image: QuestionImage) -> tuple[bool, int, str]:
    split = image.split or split_of_path(image.file) or ""
    return not image.root, _STAYS_FIRST.get(split, 3), image.file


LONGEST_SIDE = 1600
"""Largest length of the longer side of an image that is sent, in pixels."""

TINY = 256
"""Images whose longer side has at most this many pixels are sent losslessly and enlarged without interpolation."""

_CACHED = 48

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as it is sent to the browser."""

    content: bytes
    media_type: str


class ImageEncoder:
    """Encodes images, a few at a time, and caches the latest ones."""

    def __init__(self, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._cache: OrderedDict[tuple[Path, int | None, str], EncodedImage] = OrderedDict()
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(_AT_ONCE)

    def get(self, source: Source, version: str) -> EncodedImage:
        """Encode an image, or return it from the cache.

        Args:
            source: The image's source.
            version: A text that changes whenever the file changes.

        Raises:
            DataError: The image can't be opened or decoded.
        """
        key = (source.path, source.index, version)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        with self._gate:
            encoded = encode_image(open_source(source, enough=LONGEST_SIDE, max_pixels=self._max_pixels))
        with self._lock:
            self._cache[key] = encoded
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return encoded


def describe_image(source: Source) -> tuple[str, str]:
    """An image's size and format as text, and the reason why it can't be shown; one of the two is empty."""
    if source.index is not None:
        return "IDX", ""
    try:
        data = read_bytes(source)
        header = read_header(data, max_pixels=NO_LIMIT)
    except DataError as error:
        return "", str(error)
    return f"{header.width} × {header.height} · {header.format} · {file_size(len(data))}", ""


def encode_image(image: Image.Image) -> EncodedImage:
    """Shrink and encode an image for the page, without its metadata.

    Args:
        image: An upright image in mode ``RGB`` or ``L``.
    """
    encoded = io.BytesIO()
    if max(image.size) <= TINY:
        Image.fromarray(np.asarray(image)).save(encoded, "PNG")
        return EncodedImage(encoded.getvalue(), "image/png")
    small = image.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    Image.fromarray(np.asarray(small)).save(encoded, "JPEG", quality=90)
    return EncodedImage(encoded.getvalue(), "image/jpeg")
