"""Sorting of images into class folders by copying or linking, without overwriting anything."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from distingo.errors import ResourceError, UsageError, option
from distingo.file_names import distinct_names, safe_name
from distingo.files import content_hash
from distingo.journals import JournalWriter, copy_file, journal_writer, remove_unfinished_copies
from distingo.prediction.sort_journal import FORMAT, FORMAT_KEY, SORT_JOURNAL, Placement, Way, read_sort_journal
from distingo.records import Prediction

UNKNOWN, NO_LABEL = "unknown", "no-label"
"""Folders for images on which the model abstained, and for images without a predicted label."""

_BATCH = 64
"""Number of placements that are written to the journal together."""

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Sorting:
    """How images are sorted.

    Attributes:
        folder: Parent of the class folders.
        way: ``copy``, or ``link`` for symbolic links.
        dry_run: Plan only, without writing anything.
    """

    folder: Path
    way: Way
    dry_run: bool = False


class Sorter:
    """Puts images into class folders as they are predicted; use it in a ``with`` statement.

    An interrupted sorting with the same model is continued: an image that is already in its class folder is skipped.

    Args:
        sorting: The options.
        classes: The model's classes; the folder of a class is created with its first image.
        model: Identifies the model and the options of the predictions.

    Attributes:
        counts: Number of images by class folder, including those of an earlier call.
        failures: Images that could not be sorted, with the reason.
        latest: Target paths of the last image, one per label.

    Raises:
        UsageError: The folder contains images sorted by another model or in the other way.
        ResourceError: The folder can't be written.
    """

    def __init__(self, sorting: Sorting, classes: Sequence[str], model: str) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []
        self.latest: list[Path] = []
        self._sorting = sorting
        folder_keys = [*classes, UNKNOWN, NO_LABEL]
        keys = [f"class {name}" for name in classes] + [UNKNOWN, NO_LABEL]
        self._folders = dict(zip(keys, distinct_names([safe_name(name) for name in folder_keys], keys), strict=True))
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
        """Put an image into its class folders, or plan to; images that can't be read are ignored."""
        self.latest = []
        if prediction.error:
            return
        source = str(Path(prediction.file).absolute())
        self.latest = [self._target(source, folder, key) for key, folder in self._folders_of(prediction)]
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the waiting placements to the journal, then put the images into their folders."""
        waiting, self._waiting = self._waiting, []
        if self._journal is None:
            return
        self._taken.clear()  # from here on the files themselves reserve their names
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
        """``folder/name``, with a number if the name is taken, ignoring case."""
        path = f"{folder}/{name}"
        while path.casefold() in self._taken or os.path.lexists(self._sorting.folder / path):
            key = f"{folder}/{name}".casefold()
            self._numbers[key] += 1
            path = f"{folder}/{Path(name).stem}-{self._numbers[key] + 1}{Path(name).suffix}"
        self._taken.add(path.casefold())
        return path

    def _begin(self, model: str) -> dict[tuple[str, str], Placement]:
        """Open the journal and return the placements of an earlier call, by image and class."""
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
            missing_folders = [each for each in (folder.absolute(), *folder.absolute().parents) if not each.exists()]
            self._journal = self._stack.enter_context(journal_writer(folder / SORT_JOURNAL))
            if journal is None:
                inodes = [each.lstat().st_ino for each in missing_folders]
                self._journal.write({FORMAT_KEY: FORMAT, "way": way, "model": model, "made": inodes})
        return {(each.source, each.label): each for each in journal.placements} if journal is not None else {}

    def _announce(self, planned: Placement) -> Placement:
        assert self._journal is not None
        target = self._sorting.folder / planned.path
        content = content_hash(Path(planned.source).read_bytes()) if self._sorting.way == "copy" else ""
        placement = Placement(planned.source, planned.path, planned.label, content)
        if not target.parent.is_dir():
            self._journal.write({"folder": target.parent.name})
            target.parent.mkdir()
        self._journal.write(asdict(placement), durable=False)
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
