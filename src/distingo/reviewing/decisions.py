"""Findings as questions, the images that they are about, and a person's decisions in the table of corrections.

There is one question for each image and each pair of images. A decision is in the table before the page is notified.
Images are sent upright, of bounded size, and encoded anew.
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

from distingo.curation.findings import IMAGE_KINDS, Finding, FindingKind, is_answered
from distingo.datasets.corrections import Correction, Corrections, is_corrections, read_corrections, write_corrections
from distingo.datasets.decoding.decode import NO_LIMIT, open_source, read_bytes, read_header
from distingo.datasets.layouts.split_folders import split_of_path
from distingo.errors import DataError, option
from distingo.files import remove_half_written_beside
from distingo.records import DEFAULT_MAX_PIXELS, Source
from distingo.report.text.wording import file_size

Changes = Mapping[str, Correction | None]
"""By file, the new decision; None takes an earlier one back."""

_Stamp = tuple[int, int, int] | None


class Decisions:
    """The table of corrections and its changes; used by several threads.

    Another program may write the table meanwhile: it is read again whenever it is no longer the one that was written.

    Attributes:
        path: The table.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        """Read the table, if there is one.

        Args:
            path: The table.
            root: The data set's root; None takes the folder that the table is in.

        Raises:
            DataError: The file is something else, or the table is damaged.
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
        remove_half_written_beside(path)
        self._refresh()

    @property
    def corrections(self) -> Corrections:
        """All decisions that are in force."""
        with self._lock:
            return Corrections(self.path, tuple(self._entries.values()))

    def change(self, choose: Callable[[Mapping[str, Correction]], Changes]) -> Changes:
        """Change the table.

        Args:
            choose: From the decisions in force, by file, to the new ones.

        Returns:
            The changes.

        Raises:
            DataError: The table was damaged meanwhile; it is left as it is.
            ResourceError: It can't be written; nothing is changed then.
        """
        with self._lock:
            self._refresh()
            changes = choose(self._entries)
            before = {file: self._entries.get(file) for file in changes}
            self._write(changes)
            self._history.append(before)
            return changes

    def undo(self) -> tuple[str, ...]:
        """Take back the latest change that was made through this object.

        Returns:
            The files it was about; empty where there is none.

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
    """A decision together with an earlier one about the same image.

    The kinds that the action was chosen for come first. To keep an image for another reason than it was relabeled for
    leaves the corrected labels. An earlier one about other bytes is forgotten.
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
class Shown:
    """One image of a question.

    Attributes:
        file: As in `Source.file`.
        labels: Its class names in the data set.
        split: The split of its author; empty where none.
        content: Hash of its bytes when it was checked; empty where it could not be read.
        root: Folder that `file` is relative to, where that is another data set; such an image is only shown.
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
        findings: The gravest first.
        images: One, or two: then the one that is likelier to stay first.
    """

    findings: tuple[Finding, ...]
    images: tuple[Shown, ...]

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
        """Of the findings that a decision answers."""
        return tuple(dict.fromkeys(finding.kind for finding in self.asked))

    def suggested(self, number: int) -> tuple[str, ...]:
        """The class names that are likelier for one of the images: all that it should have, or none known.

        Of two that contradict each other, each one's are suggested for the other.
        """
        if len(self.images) == 2:
            return self.images[1 - number].labels if "contradiction" in self.kinds else ()
        return next((finding.suggested for finding in self.findings if finding.suggested), ())

    def is_about(self, kind: FindingKind, *, below: bool) -> bool:
        """Whether it holds a finding of a kind that reaches its threshold, or any with `below`."""
        return any(finding.kind == kind and (finding.counts or below) for finding in self.findings)

    def is_answered(self, corrections: Corrections) -> bool:
        """Whether all its findings are decided."""
        return all(is_answered(finding, corrections) for finding in self.asked)


def gather_questions(findings: Sequence[Finding]) -> tuple[Question, ...]:
    """Gather the findings about the same image or pair.

    Args:
        findings: In any order; the same pair may come both ways round. Those about the whole data set are left out.

    Returns:
        By kind in the order of `IMAGE_KINDS`, the worst of each first.
    """
    groups: dict[tuple[frozenset[str], str], dict[FindingKind, Finding]] = defaultdict(dict)
    for finding in findings:
        if finding.kind not in IMAGE_KINDS:
            continue
        key = frozenset((finding.file, finding.other) if finding.other else (finding.file,)), finding.other_root
        known = groups[key].get(finding.kind)
        if known is None or finding.score > known.score:
            groups[key][finding.kind] = finding
    questions = [_question(tuple(group.values())) for group in groups.values()]
    return tuple(sorted(questions, key=lambda question: _gravity(question.asked[0])))


def _gravity(finding: Finding) -> tuple[bool, int, float, str]:
    return not finding.counts, IMAGE_KINDS.index(finding.kind), -finding.score, finding.file


def _question(findings: tuple[Finding, ...]) -> Question:
    ordered = tuple(sorted(findings, key=_gravity))
    first = ordered[0]
    own = Shown(first.file, first.labels, first.split, first.content)
    if not first.other:
        return Question(ordered, (own,))
    other = Shown(first.other, first.other_labels, first.other_split, first.other_content, first.other_root)
    return Question(ordered, tuple(sorted((own, other), key=_rank)))


def _rank(image: Shown) -> tuple[bool, int, str]:
    split = image.split or split_of_path(image.file) or ""
    return not image.root, _STAYS_FIRST.get(split, 3), image.file


LONGEST_SIDE = 1600
"""Pixels of the longer side of an image that is sent."""

TINY = 256
"""Images of up to this many pixels a side are sent without loss and enlarged pixel by pixel."""

_CACHED = 48
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as the browser gets it."""

    content: bytes
    media_type: str


class ImageEncoder:
    """Encodes images, a few at a time, and remembers the last ones."""

    def __init__(self, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._cache: OrderedDict[tuple[Path, int | None, str], EncodedImage] = OrderedDict()
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(_AT_ONCE)

    def get(self, source: Source, version: str) -> EncodedImage:
        """Encode an image, unless it was requested shortly before.

        Args:
            source: Where it is.
            version: Changes whenever its bytes do.

        Raises:
            DataError: It can't be opened or decoded.
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
    """An image's size and format as text, and why it can't be shown; one of the two is empty."""
    if source.index is not None:
        return "IDX", ""
    try:
        data = read_bytes(source)
        header = read_header(data, max_pixels=NO_LIMIT)
    except DataError as error:
        return "", str(error)
    return f"{header.width} × {header.height} · {header.format} · {file_size(len(data))}", ""


def encode_image(image: Image.Image) -> EncodedImage:
    """Shrink an image to what the page can show; nothing but its pixels is sent.

    Args:
        image: Mode ``RGB`` or ``L``, upright.
    """
    encoded = io.BytesIO()
    if max(image.size) <= TINY:
        Image.fromarray(np.asarray(image)).save(encoded, "PNG")
        return EncodedImage(encoded.getvalue(), "image/png")
    small = image.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    Image.fromarray(np.asarray(small)).save(encoded, "JPEG", quality=90)
    return EncodedImage(encoded.getvalue(), "image/jpeg")
