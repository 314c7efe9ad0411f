"""Pictures into folders named after what they show: copies or links, never over anything.

What was sorted into class folders taken out again, by the journal; what a person changed or added stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from distingo.cleaning.journal import JournalWriter, copy_file, journal_writer, remove_unfinished_copies
from distingo.download.names import distinct_names, safe_name
from distingo.errors import DataError, ResourceError, UsageError, option
from distingo.files import content_hash
from distingo.prediction.sort_journal import SORT_JOURNAL, Placement, SortJournal, Way, first_line, read_sort_journal
from distingo.progress import progress_bar
from distingo.records import Prediction

UNKNOWN, NO_LABEL = "unknown", "no-label"
"""The folders of pictures that the model does not know, and of those that no label was given to."""

_BATCH = 64
"""Placements that go to the disk's journal together."""

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Sorting:
    """How pictures are sorted.

    Attributes:
        folder: Where the class folders are made.
        way: ``copy``, or ``link`` for symbolic links.
        dry_run: Only plan; nothing is written.
    """

    folder: Path
    way: Way
    dry_run: bool = False


class Sorter:
    """Puts pictures into class folders as their predictions come; use it in a ``with`` statement.

    A folder that was begun with the same model goes on: a picture that lies there as the same class is not put there
    again.

    Args:
        sorting: Where and how.
        classes: The model's, each of which gets a folder of its own when its first picture comes.
        model: Names the model and what it was asked for.

    Attributes:
        counts: Pictures by the name of their class folder, those of an earlier run included.
        failures: Pictures that could not be put anywhere, and why.
        latest: Where the last picture that was taken is put, once for each of its labels.

    Raises:
        UsageError: The folder was sorted into by another model, or in the other way.
        ResourceError: It can't be written.
    """

    def __init__(self, sorting: Sorting, classes: Sequence[str], model: str) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []
        self.latest: list[Path] = []
        self._sorting = sorting
        everything = [*classes, UNKNOWN, NO_LABEL]
        keys = [f"class {name}" for name in classes] + [UNKNOWN, NO_LABEL]
        self._folders = dict(zip(keys, distinct_names([safe_name(name) for name in everything], keys), strict=True))
        self._waiting: list[Placement] = []
        self._taken: set[str] = set()
        self._numbers: Counter[str] = Counter()
        self._stack = ExitStack()
        self._journal: JournalWriter | None = None
        self._earlier = self._begin(model)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                self.flush()

    def take(self, prediction: Prediction) -> None:
        """Put a picture where it belongs, or plan to; one that can't be read belongs nowhere."""
        self.latest = []
        if prediction.error:
            return
        source = str(Path(prediction.file).absolute())
        self.latest = [self._target(source, folder, key) for key, folder in self._folders_of(prediction)]
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Put what was taken and still waits: write down what is about to be done, then do it."""
        waiting, self._waiting = self._waiting, []
        if self._journal is None:
            return
        self._taken.clear()  # from here on the files themselves take their names
        ready: list[Placement] = []
        for planned in waiting:
            try:
                ready.append(self._announce(planned))
            except OSError as error:
                self._fail(planned, error)
        self._journal.sync()
        for placement in ready:
            self._make(placement)

    def _folders_of(self, prediction: Prediction) -> list[tuple[str, str]]:
        if prediction.given is None:
            labels = () if prediction.abstained else prediction.labels[:1]
        else:
            labels = prediction.given
        keys = [f"class {label}" for label in labels] or [UNKNOWN if prediction.abstained else NO_LABEL]
        return [(key, self._folders[key]) for key in keys]

    def _target(self, source: str, folder: str, key: str) -> Path:
        self.counts[folder] += 1
        earlier = self._earlier.pop((source, key), None)
        if earlier is not None:
            if not self._sorting.dry_run and not os.path.lexists(self._sorting.folder / earlier.path):
                remove_unfinished_copies(self._sorting.folder / earlier.path)
                self._make(earlier)
            return self._sorting.folder / earlier.path
        path = self._free_name(folder, Path(source).name)
        self._waiting.append(Placement(source, path, key, ""))
        return self._sorting.folder / path

    def _free_name(self, folder: str, name: str) -> str:
        """``folder/name``, numbered where something has that name already, also without regard to case."""
        path = f"{folder}/{name}"
        while path.casefold() in self._taken or os.path.lexists(self._sorting.folder / path):
            key = f"{folder}/{name}".casefold()
            self._numbers[key] += 1
            path = f"{folder}/{Path(name).stem}-{self._numbers[key] + 1}{Path(name).suffix}"
        self._taken.add(path.casefold())
        return path

    def _begin(self, model: str) -> dict[tuple[str, str], Placement]:
        """Open the journal; returns what lies there from earlier, by picture and class."""
        folder, way = self._sorting.folder, self._sorting.way
        journal = read_sort_journal(folder)
        if journal is not None and (journal.model, journal.way) != (model, way):
            raise UsageError(
                f"{option('sort_into')} {folder}: holds pictures sorted with another model, other options or the "
                f"other of {option('sort_as', 'copy')} and {option('sort_as', 'link')}; `distingo predict --undo "
                f"{folder}` takes them back, or choose another folder",
                code="changed_options",
                parameter="sort_into",
            )
        if not self._sorting.dry_run:
            made = [each for each in (folder.absolute(), *folder.absolute().parents) if not each.exists()]
            self._journal = self._stack.enter_context(journal_writer(folder, SORT_JOURNAL))
            if journal is None:
                self._journal.write(**first_line(way, model, tuple(each.lstat().st_ino for each in made)))
        return {(each.source, each.label): each for each in journal.placements} if journal is not None else {}

    def _announce(self, planned: Placement) -> Placement:
        assert self._journal is not None
        target = self._sorting.folder / planned.path
        content = content_hash(Path(planned.source).read_bytes()) if self._sorting.way == "copy" else ""
        placement = Placement(planned.source, planned.path, planned.label, content)
        if not target.parent.is_dir():
            self._journal.write(folder=target.parent.name)
            target.parent.mkdir()
        self._journal.write(durable=False, **asdict(placement))
        return placement

    def _make(self, placement: Placement) -> None:
        target = self._sorting.folder / placement.path
        try:
            if self._sorting.way == "link":
                target.symlink_to(placement.source)
            else:
                copy_file(Path(placement.source), target, durable=False)
        except OSError as error:
            self._fail(placement, error)

    def _fail(self, placement: Placement, error: OSError) -> None:
        if error.errno in _FULL_DISK:
            folder = self._sorting.folder
            raise ResourceError(
                f"{folder}: the disk is full; `distingo predict --undo {folder}` takes back what was sorted",
                code="disk_full",
            ) from error
        self.counts[placement.path.rpartition("/")[0]] -= 1
        self.failures.append((placement.source, error.strerror or type(error).__name__))


@dataclass(frozen=True, slots=True)
class Unsorting:
    """What taking sorted pictures back came to.

    Attributes:
        folder: That they had been sorted into.
        removed: How many copies or links were taken away.
        gone: How many were not there, or not yet.
        left: Files that stay, and why.
    """

    folder: Path
    removed: int
    gone: int
    left: tuple[tuple[str, str], ...]


def undo_sorting(folder: Path) -> Unsorting:
    """Take away what a journal names: links to their pictures, and copies of pictures that are still in their place.

    Folders that were made are removed once empty, and the journal with them once nothing is left. Interrupted, it is
    begun again.

    Args:
        folder: That pictures were sorted into.

    Raises:
        DataError: There is no journal in it, it is damaged, or it names what does not lie in a class folder; nothing
            was touched then.
    """
    journal = read_sort_journal(folder)
    if journal is None and not (folder / SORT_JOURNAL).is_file():
        raise DataError(
            f"{folder / SORT_JOURNAL}: no such file; name a folder that pictures were sorted into", code="not_found"
        )
    journal = journal or SortJournal("link", "", ())
    removed = gone = 0
    left: list[tuple[str, str]] = []
    with progress_bar("Taking back", len(journal.placements)) as advance:
        for placement in reversed(journal.placements):
            became = _take_back(folder, placement)
            removed += became == "removed"
            gone += became == "gone"
            if became not in {"removed", "gone"}:
                left.append((placement.path, became))
            advance()
    _clear(folder, journal, keep_journal=bool(left))
    return Unsorting(folder, removed, gone, tuple(left))


def _take_back(folder: Path, placement: Placement) -> str:
    """Remove one copy or link; returns ``removed``, ``gone``, or why it stays, in words."""
    target = folder / placement.path
    try:
        if not os.path.lexists(target):
            remove_unfinished_copies(target)
            return "gone"
        if why := _why_it_stays(placement, target):
            return why
        target.unlink()
    except OSError as error:
        return f"can't be taken away ({error.strerror or type(error).__name__})"
    return "removed"


def _why_it_stays(placement: Placement, target: Path) -> str:
    source = Path(placement.source)
    if target.is_symlink():
        return "is another link now" if placement.content or target.readlink() != source else ""
    if not placement.content or not target.is_file() or content_hash(target.read_bytes()) != placement.content:
        return "has changed since it was put there"
    if source.exists() and source.samefile(target):
        return f"is the only copy: {placement.source} is the same file"
    if not source.is_file() or content_hash(source.read_bytes()) != placement.content:
        return f"is the only copy: {placement.source} has changed or is gone"
    return ""


def _clear(folder: Path, journal: SortJournal, *, keep_journal: bool) -> None:
    for name in reversed(journal.folders):
        with contextlib.suppress(OSError):
            (folder / name).rmdir()
    if keep_journal:
        return
    (folder / SORT_JOURNAL).unlink(missing_ok=True)
    places = (folder.absolute(), *folder.absolute().parents)
    for number, (made, inode) in enumerate(zip(places, journal.made, strict=False)):
        with contextlib.suppress(OSError):
            if number == 0 or made.lstat().st_ino == inode:  # a journal from elsewhere can't know what is above
                made.rmdir()
