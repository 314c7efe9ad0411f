"""What a prediction writes: tables, and images sorted into class folders.

Tables are CSV, JSON Lines or Parquet, written row by row. Images are copied or linked, and nothing is overwritten.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from distingo.csv_files import CsvWriter, join_labels
from distingo.datasets.walking import display_name
from distingo.errors import ResourceError, UsageError, option
from distingo.files import atomic_writer, content_hash
from distingo.journals import JournalWriter, copy_file, journal_writer, remove_unfinished_copies
from distingo.prediction.networks import chunked
from distingo.prediction.sort_journal import FORMAT, FORMAT_KEY, SORT_JOURNAL, Placement, SortAs, read_sort_journal
from distingo.safe_paths import distinct_names, safe_name
from distingo.scores import Prediction

ENDINGS = (".csv", ".jsonl", ".parquet")

_CERTAINTY = ("abstained", "prediction_set", "unlike")

Row = dict[str, object]
"""The cells of a row by the names of their columns."""

_ROW_GROUP = 10_000
"""Rows of a Parquet file that are held in memory at a time."""


@dataclass(slots=True)
class Columns:
    """The columns of a table of predictions, collected one prediction at a time.

    Attributes:
        most_labels: Highest number of labels of a prediction.
        is_multi_label: Whether the predictions come from a multi-label model.
        certainty: Which of ``abstained``, ``prediction_set`` and ``unlike`` occur.
    """

    most_labels: int = 0
    is_multi_label: bool = False
    certainty: frozenset[str] = frozenset()

    def add(self, prediction: Prediction) -> None:
        """Add the columns of a prediction."""
        self.most_labels = max(self.most_labels, len(prediction.labels))
        self.is_multi_label = self.is_multi_label or prediction.given is not None
        self.certainty |= {name for name in _CERTAINTY if getattr(prediction, name) is not None}

    @property
    def names(self) -> list[str]:
        """Column names in the order of the table."""
        ranked = [name for rank in range(1, self.most_labels + 1) for name in _names(rank)]
        certainty_columns = [name for name in _CERTAINTY if name in self.certainty]
        return ["file", *(["labels"] if self.is_multi_label else []), *ranked, *certainty_columns, "error"]


def check_table(path: Path) -> None:
    """Check that a table can be written to a path, before any work is done.

    Raises:
        UsageError: The file extension is unknown.
        ResourceError: The file already exists.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{path}: ends in {path.suffix or 'nothing'!r}; choose {', '.join(ENDINGS)}",
            code="invalid_file_name",
            parameter="output",
        )
    if os.path.lexists(path):
        raise ResourceError(
            f"{path}: exists already; choose another {option('output')}", code="already_exists", parameter="output"
        )


def write_table(predictions: Sequence[Prediction], path: Path) -> None:
    """Write one row per image; see `write_rows`."""
    columns = Columns()
    for prediction in predictions:
        columns.add(prediction)
    write_rows(predictions, columns, path)


def write_rows(predictions: Iterable[Prediction], columns: Columns, path: Path) -> None:
    """Write one row per image: file, label, probability, then the next labels, then the error.

    For a multi-label model, the column ``labels`` follows the file: the list of labels that reach their thresholds,
    joined by ``|`` in CSV as in ``split.csv``. The optional columns ``abstained``, ``prediction_set`` (also a list) and
    ``unlike`` precede the error; booleans are ``yes`` and ``no`` in CSV.

    Args:
        predictions: Predictions with any number of labels each; may be an iterator.
        columns: The columns of all predictions.
        path: Path with the extension ``.csv``, ``.jsonl`` or ``.parquet``; the file appears when it is complete.
    """
    with atomic_writer(path) as file:
        _WRITERS[path.suffix.lower()](map(_as_row, predictions), columns.names, file)


def _names(rank: int) -> tuple[str, str]:
    return ("label", "probability") if rank == 1 else (f"label_{rank}", f"probability_{rank}")


def _as_row(prediction: Prediction) -> Row:
    row: Row = {"file": display_name((prediction.file,))}
    if prediction.given is not None:
        row["labels"] = list(prediction.given)
    for rank, (label, probability) in enumerate(zip(prediction.labels, prediction.probabilities, strict=True), 1):
        name, probability_column = _names(rank)
        row[name], row[probability_column] = label, probability
    for name in _CERTAINTY:
        value = getattr(prediction, name)
        if value is not None:
            row[name] = list(value) if isinstance(value, tuple) else value
    row["error"] = display_name((prediction.error,))
    return row


def _write_csv(rows: Iterator[Row], names: list[str], file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    writer = CsvWriter(text)
    writer.write(names)
    for row in rows:
        writer.write(_as_text(row[name]) if name in row else "" for name in names)
    text.detach()


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return join_labels(value)
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _write_json_lines(rows: Iterator[Row], names: list[str], file: IO[bytes]) -> None:
    del names
    for row in rows:
        file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


def _write_parquet(rows: Iterator[Row], names: list[str], file: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _type_of(name)) for name in names])
    with pq.ParquetWriter(file, schema) as writer:
        for group in chunked(rows, _ROW_GROUP):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _type_of(name: str) -> Any:
    import pyarrow as pa

    if name in {"labels", "prediction_set"}:
        return pa.list_(pa.string())
    if name in _CERTAINTY:
        return pa.bool_()
    return pa.float32() if name.startswith("probability") else pa.string()


_WRITERS = {".csv": _write_csv, ".jsonl": _write_json_lines, ".parquet": _write_parquet}

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
        sort_as: ``copy``, or ``link`` for symbolic links.
        dry_run: Plan only, without writing anything.
    """

    folder: Path
    sort_as: SortAs
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
        self._reserved: set[str] = set()
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

    def add(self, prediction: Prediction) -> None:
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
        self._reserved.clear()  # from here on the files themselves reserve their names
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
        while path.casefold() in self._reserved or os.path.lexists(self._sorting.folder / path):
            key = f"{folder}/{name}".casefold()
            self._numbers[key] += 1
            path = f"{folder}/{Path(name).stem}-{self._numbers[key] + 1}{Path(name).suffix}"
        self._reserved.add(path.casefold())
        return path

    def _begin(self, model: str) -> dict[tuple[str, str], Placement]:
        """Open the journal and return the placements of an earlier call, by image and class."""
        folder, sort_as = self._sorting.folder, self._sorting.sort_as
        journal = read_sort_journal(folder)
        if journal is not None and (journal.model, journal.sort_as) != (model, sort_as):
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
                self._journal.write({FORMAT_KEY: FORMAT, "way": sort_as, "model": model, "made": inodes})
        return {(each.source, each.label): each for each in journal.placements} if journal is not None else {}

    def _announce(self, planned: Placement) -> Placement:
        assert self._journal is not None
        target = self._sorting.folder / planned.path
        content = content_hash(Path(planned.source).read_bytes()) if self._sorting.sort_as == "copy" else ""
        placement = Placement(planned.source, planned.path, planned.label, content)
        if not target.parent.is_dir():
            self._journal.write({"folder": target.parent.name})
            target.parent.mkdir()
        self._journal.write(asdict(placement), durable=False)
        return placement

    def _make(self, placement: Placement) -> None:
        target = self._sorting.folder / placement.path
        try:
            if self._sorting.sort_as == "link":
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
