"""The output folder of a download: its source, its files and their outcomes.

``manifest.csv`` lists the outcomes. A journal contains those since it was last written, so that a crash loses nothing.
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
from distingo.csv_files import CsvWriter, restore_cell
from distingo.datasets.corrections import DOWNLOAD_FOLDER, FINISHED_NAME, MANIFEST_NAME
from distingo.download.records import FetchStatus, Outcome
from distingo.errors import DataError, ResourceError, RunError, UsageError, join_faults, option, quote
from distingo.files import parse_json, remove_half_written, require_sealed, write_json, write_text
from distingo.messages.notes import Note
from distingo.safe_paths import find_link_above, find_path_fault

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]

_COLUMNS = ("file", *(field.name for field in fields(Outcome) if field.name != "file"))
_SYNC_EVERY = 1.0


class DownloadFolder:
    """The output folder of one download.

    Attributes:
        root: The folder.
        own: The subfolder for distingo's own files.
        parts: The subfolder for partial files.
    """

    def __init__(self, root: Path, source: Mapping[str, object]) -> None:
        """Set the path and the source (JSON values); the folder is created by `open_folder`."""
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
        """Names of the files that were downloaded in this run."""
        return frozenset(self._arrived)

    @property
    def is_finished(self) -> bool:
        """Whether an earlier run has finished the download."""
        return (self.own / FINISHED_NAME).is_file()

    def outcome_of(self, name: str) -> Outcome | None:
        """Return the outcome of a file by its `RemoteFile.name`; None if it has none yet."""
        return self._outcomes.get(name)

    def record(self, outcome: Outcome, *, arrived: bool = False) -> None:
        """Record the outcome of a file in the journal.

        Args:
            outcome: The outcome.
            arrived: Whether the file has just been downloaded.

        Raises:
            OSError: The journal can't be written.
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
        """Write all outcomes to ``manifest.csv``, and clear the journal.

        Raises:
            ResourceError: The file can't be written.
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
        """Mark the download as finished, and remove the partial files unless a file has failed."""
        if not any(outcome.status == "failed" for outcome in self._outcomes.values()):
            shutil.rmtree(self.parts, ignore_errors=True)
        (self.own / FINISHED_NAME).touch()

    def _load(self) -> None:
        manifest = self.root / MANIFEST_NAME
        if manifest.exists():
            self._outcomes = {outcome.name: outcome for outcome in read_outcomes(manifest)}
        with contextlib.suppress(FileNotFoundError):
            for line in self._journal_path.read_text(encoding="utf-8", errors="replace").split("\n"):
                # The last line may be cut off by a crash; that file exists already or will be downloaded again.
                with contextlib.suppress(ValueError):
                    outcome = msgspec.convert(parse_json(line), Outcome)
                    self._outcomes[outcome.name] = outcome
        _refuse_outside_paths(self.own, self.root, self._outcomes.values())

    def _open(self) -> None:
        for path in (self.own, self.parts, self._journal_path):
            if path.is_symlink():
                raise DataError(
                    f"{path}: is a link, which distingo never makes there; name a new folder by {option('output')}",
                    code="is_link",
                    parameter="output",
                )
        source_path = self.own / "source.json"
        if source_path.exists():
            _check_source(self.root, source_path, self._source)
        elif self.root.exists() and (not self.root.is_dir() or any(path != self.own for path in self.root.iterdir())):
            raise UsageError(
                f"{self.root}: already holds other files; name a new folder by {option('output')}",
                code="not_empty",
                parameter="output",
            )
        self.own.mkdir(parents=True, exist_ok=True)
        if not source_path.exists():
            write_json(source_path, self._source)
        remove_half_written(self.own)
        remove_half_written(self.root, below=False)
        self._load()
        self._journal = self._journal_path.open("a", encoding="utf-8")
        if self._journal.tell():
            self._journal.write("\n")  # end a line that was cut off


def _check_source(root: Path, path: Path, source: Mapping[str, object]) -> None:
    try:
        content = path.read_bytes()
        earlier_source = parse_json(content)
        require_sealed(path, content)
    except (OSError, ValueError, RunError) as error:
        raise DataError(
            f"{path}: damaged ({error}); name a new folder by {option('output')}",
            code="damaged_file",
            parameter="output",
        ) from error
    if isinstance(earlier_source, dict):
        earlier_source.pop(CHECKSUM, None)
    if earlier_source != source:
        earlier_command = (
            earlier_source.get("command", "another download")
            if isinstance(earlier_source, dict)
            else "another download"
        )
        raise UsageError(
            f"{root}: holds what `{earlier_command}` fetched; name a new folder by {option('output')}",
            code="not_empty",
            parameter="output",
        )


@contextlib.contextmanager
def open_folder(root: Path, source: Mapping[str, object]) -> Iterator[DownloadFolder]:
    """Create the folder of a download, or reopen one that the same download began.

    Args:
        root: A folder: new, empty, or started by the same download.
        source: Description of the download as JSON values; ``command`` is its command.

    Yields:
        The folder, locked against other processes.

    Raises:
        UsageError: The folder contains something else, or is in use by another process.
        ResourceError: The folder can't be written.
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
        DataError: The manifest is damaged, another type of table, or lists files outside its folder; the message has
            one line per fault.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            outcomes = [_outcome(row) for row in csv.DictReader(file, strict=True)]
        _refuse_outside_paths(path, path.parent, outcomes)
        return outcomes
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: is no manifest of a download ({error}); name a new folder by {option('output')}",
            code="damaged_file",
            parameter="output",
        ) from error


def _outcome(row: dict[str, str]) -> Outcome:
    cells = {name: restore_cell(row[name]) for name in _COLUMNS if name in row or name != "code"}  # newer than 0.1
    return msgspec.convert(cells, Outcome, strict=False)


def _refuse_outside_paths(source: Path, root: Path, outcomes: Iterable[Outcome]) -> None:
    """Raise an error if an outcome has a file outside the folder, to which a partial file would be moved."""
    faults = []
    for outcome in outcomes:
        if not outcome.file:
            continue
        if problem := find_path_fault(outcome.file):
            faults.append(f"{source}: {problem}")
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
        folder: The output folder.
        outcomes: One outcome per file.
        notes: Messages for people.
        arrived: Names (`Outcome.name`) of the files that this call downloaded, not an earlier one.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    notes: tuple[Note, ...] = ()
    arrived: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def manifest(self) -> Path:
        """Path of the table of all outcomes."""
        return self.folder / MANIFEST_NAME

    @property
    def counts(self) -> Counter[FetchStatus]:
        """Number of files by status."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def fetched_now(self) -> int:
        """Number of files that this call downloaded."""
        return sum(outcome.status == "fetched" and outcome.name in self.arrived for outcome in self.outcomes)

    @property
    def there_already(self) -> int:
        """Number of files that an earlier call downloaded and that still exist."""
        return sum(
            outcome.status == "fetched"
            and outcome.name not in self.arrived
            and (not outcome.file or (self.folder / outcome.file).exists())
            for outcome in self.outcomes
        )

    @property
    def size(self) -> int:
        """Total size of the downloaded files in bytes."""
        return sum(outcome.size for outcome in self.outcomes)

    @property
    def has_gaps(self) -> bool:
        """Whether any file was not downloaded."""
        return any(outcome.status != "fetched" for outcome in self.outcomes)

    def reasons(self, limit: int) -> list[tuple[str, int]]:
        """Count the reasons why files are missing, the most frequent first.

        Args:
            limit: Maximum number of reasons; the rest are counted together.
        """
        counts = Counter(outcome.reason for outcome in self.outcomes if outcome.status != "fetched").most_common()
        rest = sum(count for _, count in counts[limit:])
        return counts[:limit] + ([("other reasons", rest)] if rest else [])
