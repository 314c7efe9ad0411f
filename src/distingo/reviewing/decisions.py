"""A person's decisions, each in the table of corrections before the page hears of it.

Findings to questions: one for each picture, and one for each pair of pictures.

Pictures for the page: upright, of bounded size, encoded anew.
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

from distingo.curation.findings import PICTURE_KINDS, Finding, FindingKind, is_answered
from distingo.datasets.corrections import Correction, Corrections, is_corrections, read_corrections, write_corrections
from distingo.datasets.decoding.decode import NO_LIMIT, open_source, read_bytes, read_header
from distingo.datasets.layouts.split_folders import side_of_path
from distingo.errors import DataError, option
from distingo.files import remove_half_written_beside
from distingo.records import DEFAULT_MAX_PIXELS, Source
from distingo.report.text.wording import file_size

Changes = Mapping[str, Correction | None]
"""By file, what is decided about it; None takes back what was."""

_Stamp = tuple[int, int, int] | None


class Decisions:
    """The table of corrections and what was changed in it; used by several threads.

    Somebody else may write the table meanwhile: it is read again whenever it is no longer the one that was written.

    Attributes:
        path: The table.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        """Read the table, if there is one.

        Args:
            path: The table.
            root: The data set's root; None takes the folder that the table is in.

        Raises:
            DataError: Something else is there, or the table is damaged.
        """
        self.path = path
        self._root = root or path.parent
        self._lock = threading.RLock()
        self._entries: dict[str, Correction] = {}
        self._stamp: _Stamp = None
        self._history: list[dict[str, Correction | None]] = []
        if path.exists() and not is_corrections(path):
            raise DataError(
                f"{path}: is no table of corrections; name another place by {option('corrections')} FILE",
                code="wrong_format",
                parameter="corrections",
            )
        remove_half_written_beside(path)
        self._refresh()

    @property
    def corrections(self) -> Corrections:
        """All that is decided now."""
        with self._lock:
            return Corrections(self.path, tuple(self._entries.values()))

    def change(self, choose: Callable[[Mapping[str, Correction]], Changes]) -> Changes:
        """Change the table.

        Args:
            choose: From what is decided now, by file, to what is decided anew.

        Returns:
            What was changed.

        Raises:
            DataError: Somebody has damaged the table meanwhile; it is left as it is.
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
        """Take back the latest change that was made here.

        Returns:
            The files it was about; empty where there is nothing to take back.

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
        self._entries, self._stamp = entries, self._look()

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp != self._stamp:
            self._entries = dict(read_corrections(self.path, self._root).by_file) if stamp else {}
            self._stamp = stamp

    def _look(self) -> _Stamp:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


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


LONGEST_SIDE = 1600
"""Pixels of the longer side of what is sent."""

TINY = 256
"""Pictures up to this many pixels are sent without loss and enlarged pixel by pixel."""

_KEPT = 48

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture as the browser gets it."""

    content: bytes
    media_type: str


class PictureServer:
    """Encodes pictures, a few at a time, and remembers the last ones."""

    def __init__(self, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._kept: OrderedDict[tuple[Path, int | None, str], EncodedPicture] = OrderedDict()
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(_AT_ONCE)

    def get(self, source: Source, version: str) -> EncodedPicture:
        """Encode a picture, unless it was asked for shortly before.

        Args:
            source: Where it is.
            version: Changes whenever its bytes do.

        Raises:
            DataError: It can't be opened or decoded.
        """
        key = (source.path, source.index, version)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._gate:
            encoded = encode_picture(open_source(source, enough=LONGEST_SIDE, max_pixels=self._max_pixels))
        with self._lock:
            self._kept[key] = encoded
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return encoded


def describe_picture(source: Source) -> tuple[str, str]:
    """A picture's size and format in words, and why it can't be shown; one of the two is empty."""
    if source.index is not None:
        return "IDX", ""
    try:
        data = read_bytes(source)
        header = read_header(data, max_pixels=NO_LIMIT)
    except DataError as error:
        return "", str(error)
    return f"{header.width} × {header.height} · {header.format} · {file_size(len(data))}", ""


def encode_picture(image: Image.Image) -> EncodedPicture:
    """Shrink a picture to what the page can show; nothing but its pixels is sent.

    Args:
        image: Mode ``RGB`` or ``L``, upright.
    """
    encoded = io.BytesIO()
    if max(image.size) <= TINY:
        Image.fromarray(np.asarray(image)).save(encoded, "PNG")
        return EncodedPicture(encoded.getvalue(), "image/png")
    small = image.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    Image.fromarray(np.asarray(small)).save(encoded, "JPEG", quality=90)
    return EncodedPicture(encoded.getvalue(), "image/jpeg")
