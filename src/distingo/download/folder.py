"""The folder that a download fills: its source, its files, and what has become of each of them.

``manifest.csv`` lists the outcomes, and a journal those since it was last written, so that a kill loses nothing.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO

import msgspec

from distingo.checksums import CHECKSUM
from distingo.contained_paths import find_link_above, find_path_fault
from distingo.csv_files import CsvWriter, restore_cell
from distingo.datasets.own_files import DOWNLOAD_FOLDER, FINISHED_NAME, MANIFEST_NAME
from distingo.download.records import FetchStatus, Outcome
from distingo.errors import DataError, ResourceError, RunError, UsageError, join_faults, option, quote
from distingo.files import parse_json, remove_half_written, require_sealed, write_json, write_text

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]

_COLUMNS = ("file", *(field.name for field in fields(Outcome) if field.name != "file"))
_SYNC_EVERY = 1.0


class DownloadFolder:
    """A folder that one run fills.

    Attributes:
        root: The folder.
        own: Where partial files and records are.
        parts: Where files are while they come.
    """

    def __init__(self, root: Path, source: Mapping[str, object]) -> None:
        """Name the folder, and what fills it (JSON values); `open_folder` makes it."""
        self.root = root
        self.own = root / DOWNLOAD_FOLDER
        self.parts = self.own / "parts"
        self._source = source
        self._journal_path = self.own / "journal.jsonl"
        self._journal: IO[str] | None = None
        self._synced = time.monotonic()
        self._lock = threading.Lock()
        self._outcomes: dict[str, Outcome] = {}
        self._arrived: set[str] = set()

    @property
    def arrived(self) -> frozenset[str]:
        """Names of the files that came in this run, not in an earlier one."""
        return frozenset(self._arrived)

    @property
    def is_finished(self) -> bool:
        """Whether an earlier run has finished here."""
        return (self.own / FINISHED_NAME).is_file()

    def outcome_of(self, name: str) -> Outcome | None:
        """What became of a file so far, by its `WantedFile.name`."""
        return self._outcomes.get(name)

    def record(self, outcome: Outcome, *, arrived: bool = False) -> None:
        """Record what became of a file.

        Args:
            outcome: Of the file.
            arrived: Whether it has just been downloaded.

        Raises:
            OSError: It can't be written.
        """
        line = json.dumps(asdict(outcome), ensure_ascii=False) + "\n"
        with self._lock:
            self._outcomes[outcome.name] = outcome
            if arrived:
                self._arrived.add(outcome.name)
            assert self._journal is not None
            self._journal.write(line)
            self._journal.flush()
            if time.monotonic() - self._synced > _SYNC_EVERY:
                os.fsync(self._journal.fileno())
                self._synced = time.monotonic()

    def write_manifest(self) -> Path:
        """Write all outcomes to ``manifest.csv``, and begin a new journal.

        Raises:
            ResourceError: It can't be written.
        """
        path = self.root / MANIFEST_NAME
        with self._lock:
            text = io.StringIO()
            table = CsvWriter(text)
            table.write(_COLUMNS)
            for outcome in self._outcomes.values():
                table.write(getattr(outcome, name) for name in _COLUMNS)
            write_text(path, text.getvalue())
            if self._journal is not None:
                self._journal.seek(0)
                self._journal.truncate()
        return path

    def finish(self) -> None:
        """Remove what only an unfinished download needs; partial files of failed ones are kept."""
        if not any(outcome.status == "failed" for outcome in self._outcomes.values()):
            shutil.rmtree(self.parts, ignore_errors=True)
        (self.own / FINISHED_NAME).touch()

    def _load(self) -> None:
        manifest = self.root / MANIFEST_NAME
        if manifest.exists():
            self._outcomes = {outcome.name: outcome for outcome in read_outcomes(manifest)}
        with contextlib.suppress(FileNotFoundError):
            for line in self._journal_path.read_text(encoding="utf-8", errors="replace").split("\n"):
                # The last line of a killed run may be cut off: that file is there, or will be downloaded anew.
                with contextlib.suppress(ValueError):
                    outcome = msgspec.convert(parse_json(line), Outcome)
                    self._outcomes[outcome.name] = outcome
        _refuse_elsewhere(self.own, self.root, self._outcomes.values())

    def _open(self) -> None:
        for place in (self.own, self.parts, self._journal_path):
            if place.is_symlink():
                raise DataError(
                    f"{place}: is a link, which distingo never makes there; name a new folder by {option('output')}",
                    code="is_link",
                    parameter="output",
                )
        note = self.own / "source.json"
        if note.exists():
            _check_source(self.root, note, self._source)
        elif self.root.exists() and (not self.root.is_dir() or any(path != self.own for path in self.root.iterdir())):
            raise UsageError(
                f"{self.root}: already holds other files; name a new folder by {option('output')}",
                code="not_empty",
                parameter="output",
            )
        self.own.mkdir(parents=True, exist_ok=True)
        if not note.exists():
            write_json(note, self._source)
        remove_half_written(self.own)
        remove_half_written(self.root, below=False)
        self._load()
        self._journal = self._journal_path.open("a", encoding="utf-8")
        if self._journal.tell():
            self._journal.write("\n")  # after a line that was cut off


def _check_source(root: Path, note: Path, source: Mapping[str, object]) -> None:
    try:
        content = note.read_bytes()
        known = parse_json(content)
        require_sealed(note, content)
    except (OSError, ValueError, RunError) as error:
        raise DataError(
            f"{note}: damaged ({error}); name a new folder by {option('output')}",
            code="damaged_file",
            parameter="output",
        ) from error
    if isinstance(known, dict):
        known.pop(CHECKSUM, None)
    if known != source:
        was = known.get("command", "another download") if isinstance(known, dict) else "another download"
        raise UsageError(
            f"{root}: holds what `{was}` fetched; name a new folder by {option('output')}",
            code="not_empty",
            parameter="output",
        )


@contextlib.contextmanager
def open_folder(root: Path, source: Mapping[str, object]) -> Iterator[DownloadFolder]:
    """Make a folder for a download, or continue with one that the same download began.

    Args:
        root: New, empty, or begun by the same source.
        source: What fills it, as JSON values; ``command`` is the command for it.

    Yields:
        The folder; no other process fills it at the same time.

    Raises:
        UsageError: It holds something else, or another process is filling it.
        ResourceError: It can't be written.
    """
    folder = DownloadFolder(root, source)
    try:
        with contextlib.ExitStack() as stack:
            if folder.own.is_dir():
                stack.enter_context(_locked(folder))
                folder._open()
            else:
                folder._open()
                stack.enter_context(_locked(folder))
            assert folder._journal is not None
            stack.enter_context(folder._journal)
            yield folder
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(
            f"{error.filename or root}: can't be written ({reason}); make room or choose {option('output')}",
            code="cannot_write",
            parameter="output",
        ) from error


@contextlib.contextmanager
def _locked(folder: DownloadFolder) -> Iterator[None]:
    with (folder.own / "lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"{folder.root}: another process is filling it; wait until it is done",
                    code="in_use",
                    parameter="output",
                ) from error
        yield


def read_outcomes(path: Path) -> Iterable[Outcome]:
    """Read the manifest of a download.

    Raises:
        DataError: It is damaged, another table, or names files that are not below its folder (one line for each).
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            outcomes = [_outcome(row) for row in csv.DictReader(file, strict=True)]
        _refuse_elsewhere(path, path.parent, outcomes)
        return outcomes
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: is no manifest of a download ({error}); name a new folder by {option('output')}",
            code="damaged_file",
            parameter="output",
        ) from error


def _outcome(row: dict[str, str]) -> Outcome:
    return msgspec.convert({name: restore_cell(row[name]) for name in _COLUMNS}, Outcome, strict=False)


def _refuse_elsewhere(source: Path, root: Path, outcomes: Iterable[Outcome]) -> None:
    """Refuse files that are not below the folder: their partial files would be moved there."""
    faults = []
    for outcome in outcomes:
        if not outcome.file:
            continue
        if why := find_path_fault(outcome.file):
            faults.append(f"{source}: {why}")
        elif link := find_link_above(root, outcome.file):
            faults.append(f"{source}: {quote(outcome.file)} leads through a link, {quote(link)}")
    if faults:
        raise DataError(
            join_faults(faults, f"name a new folder by {option('output')}"), code="cannot_write", parameter="output"
        )


@dataclass(frozen=True, slots=True)
class Gathered:
    """The result of a download.

    Attributes:
        folder: Where everything is.
        outcomes: One per file.
        notes: What a person should know.
        arrived: Names (`Outcome.name`) of the files that this call downloaded; an earlier one did the others.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    arrived: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def manifest(self) -> Path:
        """The table of all outcomes."""
        return self.folder / MANIFEST_NAME

    @property
    def counts(self) -> Counter[FetchStatus]:
        """How many files have each status."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def fetched_now(self) -> int:
        """How many files this call downloaded."""
        return sum(outcome.status == "fetched" and outcome.name in self.arrived for outcome in self.outcomes)

    @property
    def there_already(self) -> int:
        """How many files of an earlier call are still there."""
        return sum(
            outcome.status == "fetched"
            and outcome.name not in self.arrived
            and (not outcome.file or (self.folder / outcome.file).exists())
            for outcome in self.outcomes
        )

    @property
    def size(self) -> int:
        """Of all downloaded files, in bytes."""
        return sum(outcome.size for outcome in self.outcomes)

    @property
    def has_gaps(self) -> bool:
        """Whether any file is not there."""
        return any(outcome.status != "fetched" for outcome in self.outcomes)

    def reasons(self, most: int) -> list[tuple[str, int]]:
        """Why files are not there, and how many for each reason, the most frequent first.

        Args:
            most: How many reasons to give; the rest are counted together.
        """
        counts = Counter(outcome.reason for outcome in self.outcomes if outcome.status != "fetched").most_common()
        rest = sum(count for _, count in counts[most:])
        return counts[:most] + ([("other reasons", rest)] if rest else [])
