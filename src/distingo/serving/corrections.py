"""Corrections sent from the page, in one SQLite file, and the data set for `distingo train` that is made of them.

The file holds each image once, and every correction of it that was ever sent. Several processes may write at once: the
file is in write-ahead mode, and each call has a connection of its own. These are images that clients sent, with what
they really show; `distingo.datasets.corrections` is about the images of a data set.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from distingo.datasets.corrections import utc_now
from distingo.datasets.decoding.formats import ENDINGS
from distingo.datasets.manifest import write_table
from distingo.datasets.own_files import PROVENANCE_COLUMNS, PROVENANCE_NAME
from distingo.datasets.walking import is_hidden_folder
from distingo.download.names import safe_name
from distingo.errors import DataError, ResourceError, UsageError, name_the_nearest, option
from distingo.files import write_bytes
from distingo.progress import progress_bar
from distingo.records import Task

LABELS_NAME = "labels.csv"
_IMAGES_FOLDER = "pictures"

DEFAULT_MOST_BYTES = 4 * 1024**3
"""What the file may grow to: the page can be open to many, and the disk is not theirs."""

_APPLICATION_ID = 0x64697374  # "dist"
_SCHEMA_VERSION = 1
_PATIENCE = 15.0
_SCHEMA = f"""
CREATE TABLE pictures (
    sha256 TEXT PRIMARY KEY,
    format TEXT NOT NULL,
    content BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE corrections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES pictures (sha256),
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    task TEXT NOT NULL CHECK (task IN ('single-label', 'multi-label')),
    labels TEXT NOT NULL,
    predicted TEXT NOT NULL
);
CREATE INDEX by_picture ON corrections (model, sha256, id);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
"""


class StoreFullError(ResourceError):
    """The file of corrections has grown to its limit."""


@dataclass(frozen=True, slots=True)
class SentCorrection:
    """What a person says an image shows.

    Attributes:
        picture: The file's bytes as they were uploaded.
        format: Its format, as `distingo.datasets.decoding.formats.detect_format` names it.
        model: The model's name.
        version: The model's version.
        task: Whether an image gets exactly one label or any number.
        labels: The right class; with several labels per image perhaps none.
        predicted: The model's prediction, as JSON has it.
    """

    picture: bytes
    format: str
    model: str
    version: str
    task: Task
    labels: tuple[str, ...]
    predicted: Any


@dataclass(frozen=True, slots=True)
class KeptCorrection:
    """The latest correction of one image for one model.

    Attributes:
        id: Its number in the file.
        at: When it was sent, in UTC as ISO 8601.
        sha256: Hash of the image's bytes, hexadecimal.
        format: As of `SentCorrection`, like all from `model` to `predicted`.
        times: How often the image was corrected for this model, this time included.
    """

    id: int
    at: str
    sha256: str
    format: str
    model: str
    version: str
    task: Task
    labels: tuple[str, ...]
    predicted: Any
    times: int


class CorrectionStore:
    """A file of corrections; safe to use from several threads and processes at once.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, *, create: bool = True, most_bytes: int = DEFAULT_MOST_BYTES) -> None:
        """Open the file, or make it: readable by its owner only, as it holds images of other people.

        Args:
            path: The file.
            create: Make it where there is none.
            most_bytes: What it may grow to.

        Raises:
            DataError: There is none, or something else is there.
            ResourceError: It can't be made or opened.
        """
        self.path = path
        self._most_bytes = most_bytes
        if not create and not path.is_file():
            raise DataError(
                f"{path}: no such file; `distingo serve RUN --corrections FILE` makes one", code="not_found"
            )
        if create:
            _make_private(path)
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE" if create else "BEGIN")
            _require_ours(path, connection, create=create)

    def keep(self, sent: SentCorrection) -> int:
        """Store a correction next to earlier ones of the same image.

        Returns:
            Its number.

        Raises:
            StoreFullError: The file would grow beyond its limit.
            ResourceError: The file can't be written.
        """
        sha256 = hashlib.sha256(sent.picture).hexdigest()
        row = (utc_now(), sha256, sent.model, sent.version, sent.task, _to_json(sent.labels), _to_json(sent.predicted))
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            known = connection.execute("SELECT 1 FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
            self._require_room(connection, 0 if known else len(sent.picture))
            if not known:
                picture = (sha256, sent.format, sent.picture)
                connection.execute("INSERT INTO pictures (sha256, format, content) VALUES (?, ?, ?)", picture)
            kept = connection.execute(
                "INSERT INTO corrections (at, sha256, model, version, task, labels, predicted) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            return int(kept.lastrowid or 0)

    def models(self) -> dict[str, int]:
        """By the name of each model, how many images were corrected for it."""
        query = "SELECT model, count(DISTINCT sha256) FROM corrections GROUP BY model ORDER BY model"
        with self._connected() as connection:
            return dict(connection.execute(query).fetchall())

    def latest(self, model: str) -> list[KeptCorrection]:
        """The latest correction of each image for a model, in the order in which they came."""
        query = (
            "SELECT max(id), at, sha256, format, model, version, task, labels, predicted, count(*) "
            "FROM corrections JOIN pictures USING (sha256) WHERE model = ? GROUP BY sha256 ORDER BY max(id)"
        )  # with max(), SQLite takes the other columns from the same row
        with self._connected() as connection:
            return [_read(row) for row in connection.execute(query, (model,))]

    def history(self, sha256: str, model: str) -> list[KeptCorrection]:
        """All corrections of one image for a model, the first one first."""
        query = (
            "SELECT id, at, sha256, format, model, version, task, labels, predicted, "
            "row_number() OVER (ORDER BY id) "
            "FROM corrections JOIN pictures USING (sha256) WHERE model = ? AND sha256 = ? ORDER BY id"
        )
        with self._connected() as connection:
            return [_read(row) for row in connection.execute(query, (model, sha256))]

    def picture(self, sha256: str) -> bytes:
        """An image's bytes as they were uploaded.

        Raises:
            DataError: They are not there, or are no longer what they were.
        """
        with self._connected() as connection:
            found = connection.execute("SELECT content FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        if found is None or hashlib.sha256(found[0]).hexdigest() != sha256:
            raise DataError(
                f"{self.path}: image {sha256[:16]} is missing or damaged; restore the file from a copy",
                code="damaged_file",
            )
        return bytes(found[0])

    def _require_room(self, connection: sqlite3.Connection, more: int) -> None:
        (pages,), (size,) = (connection.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
        if pages * size + more > self._most_bytes:
            raise StoreFullError(
                f"{self.path}: holds {pages * size:,} bytes, and {self._most_bytes:,} are allowed; "
                "export the corrections and name a new file",
                code="store_full",
            )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for one call, whose transaction is committed, or undone where an error comes."""
        try:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            try:
                connection.execute("PRAGMA foreign_keys = ON")
                yield connection
                if connection.in_transaction:
                    connection.execute("COMMIT")
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            raise ResourceError(
                f"{self.path}: can't be used now ({error}); check disk and permissions", code="cannot_write"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.path}: is no file of corrections, or damaged ({error}); name another one", code="damaged_file"
            ) from error


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ResourceError(
            f"{path}: can't be made ({error.strerror}); choose another path", code="cannot_write"
        ) from error


def _require_ours(path: Path, connection: sqlite3.Connection, *, create: bool) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if create and not tables and not application:
        for statement in _SCHEMA.split(";"):  # executescript would end the transaction that keeps other processes out
            connection.execute(statement)
    elif application != _APPLICATION_ID:
        raise DataError(f"{path}: is a database of something else; name another file", code="wrong_format")
    elif version != _SCHEMA_VERSION:
        raise DataError(
            f"{path}: was written by a newer distingo (layout {version}); use that one, or another file",
            code="newer_version",
        )


def _read(row: tuple[Any, ...]) -> KeptCorrection:
    number, at, sha256, file_format, model, version, task, labels, predicted, times = row
    names = tuple(str(label) for label in json.loads(labels))
    prediction = json.loads(predicted)
    return KeptCorrection(number, at, sha256, file_format, model, version, cast(Task, task), names, prediction, times)


def _to_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True)
class CorrectedData:
    """A data set made of corrections.

    Attributes:
        folder: Where it is.
        model: The model that was corrected.
        task: Whether an image has exactly one label or any number.
        pictures: How many images it holds.
        classes: How many images each class has, the most first.
        unlabelled: How many images have no label at all; none with one label per image.
        superseded: How many earlier corrections of the same images are left out.
        notes: What to know before training on it.
    """

    folder: Path
    model: str
    task: Task
    pictures: int
    classes: dict[str, int]
    unlabelled: int
    superseded: int
    notes: tuple[str, ...] = ()


def export_store(path: Path, folder: Path, model: str | None = None) -> CorrectedData:
    """Write the latest correction of every image as a data set, whole or not at all.

    Class folders for one label per image; else, and where a class's name is no name for a folder, ``labels.csv`` next
    to the images. ``provenance.csv`` has each image's model and prediction, and when it was corrected.

    Args:
        path: The file that `distingo serve` stores corrections in; only read.
        folder: A new or empty folder.
        model: Whose corrections; None where the file holds those of one model.

    Raises:
        DataError: The file is missing, damaged, something else, or holds no correction.
        UsageError: There is no such model, or there are several and none is named.
        ResourceError: Something is in the folder, or it can't be written.
    """
    store = CorrectionStore(path, create=False)
    model = _choose_model(store, model)
    kept = store.latest(model)
    task: Task = "multi-label" if any(each.task == "multi-label" for each in kept) else "single-label"
    _require_free(folder)
    by_folder = task == "single-label" and _fit_for_folders({each.labels[0] for each in kept})
    rows = [(_file_of(each, by_folder=by_folder), each) for each in kept]
    _write_at_once(store, folder, rows, task, by_folder=by_folder)
    classes = Counter(label for each in kept for label in each.labels)
    notes = _describe(classes, task, by_folder=by_folder)
    earlier = sum(each.times - 1 for each in kept)
    unlabelled = sum(not each.labels for each in kept)
    return CorrectedData(folder, model, task, len(kept), dict(classes.most_common()), unlabelled, earlier, notes)


def _choose_model(store: CorrectionStore, requested: str | None) -> str:
    models = store.models()
    if not models:
        raise DataError(
            f"{store.path}: holds no correction yet; they come from the page of `distingo serve`", code="empty_file"
        )
    if requested is None and len(models) > 1:
        named = ", ".join(f"{name} ({count:,})" for name, count in models.items())
        raise UsageError(
            f"{store.path}: holds corrections of several models, {named}; choose one by {option('model')} NAME",
            code="ambiguous_name",
            parameter="model",
        )
    if requested is not None and requested not in models:
        nearest = name_the_nearest(requested, list(models))
        raise UsageError(
            f"{option('model')} {requested}: no correction is for such a model; {nearest}",
            code="unknown_name",
            parameter="model",
        )
    return requested or next(iter(models))


def _require_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ResourceError(
            f"{folder}: exists already and is not empty; name a new folder", code="not_empty", parameter="output"
        )


def _fit_for_folders(labels: set[str]) -> bool:
    """Whether each class can have a folder of its name, also where upper and lower case are the same."""
    folders = {unicodedata.normalize("NFC", label).casefold() for label in labels}
    return len(folders) == len(labels) and not any(
        safe_name(label) != label or is_hidden_folder(label) for label in labels
    )


def _file_of(kept: KeptCorrection, *, by_folder: bool) -> str:
    ending = ENDINGS.get(kept.format, ("",))[0]
    return f"{kept.labels[0] if by_folder else _IMAGES_FOLDER}/{kept.sha256[:16]}{ending}"


def _write_at_once(
    store: CorrectionStore, folder: Path, rows: list[tuple[str, KeptCorrection]], task: Task, *, by_folder: bool
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise ResourceError(
            f"{folder}: can't be made ({error.strerror}); choose another place", code="cannot_write", parameter="output"
        ) from error
    try:
        with progress_bar("exporting", len(rows)) as advance:
            for file, kept in rows:
                write_bytes(unfinished / file, store.picture(kept.sha256))
                advance()
        if not by_folder:
            write_table(
                unfinished / LABELS_NAME, ("file", "label" + "s" * (task == "multi-label")), _labels(rows, task)
            )
        write_table(unfinished / PROVENANCE_NAME, PROVENANCE_COLUMNS, map(_provenance, rows))
        unfinished.chmod(0o755)
        unfinished.replace(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _labels(rows: list[tuple[str, KeptCorrection]], task: Task) -> list[tuple[str, str]]:
    """Files and their labels: several as a list in JSON, so that no character of a name can be read as a delimiter."""
    if task == "single-label":
        return [(file, kept.labels[0]) for file, kept in rows]
    return [(file, json.dumps(kept.labels, ensure_ascii=False)) for file, kept in rows]


def _provenance(row: tuple[str, KeptCorrection]) -> tuple[object, ...]:
    file, kept = row
    labels, prediction = (json.dumps(value, ensure_ascii=False) for value in (kept.labels, kept.predicted))
    return file, kept.sha256, labels, prediction, kept.model, kept.version, kept.at, kept.times


def _describe(classes: Counter[str], task: Task, *, by_folder: bool) -> tuple[str, ...]:
    notes: list[str] = []
    if len(classes) < 2 and task == "single-label":
        notes.append("all images are of one class: add them to the data that the model was trained on, and train again")
    if task == "single-label" and not by_folder:
        notes.append(f"{LABELS_NAME} holds the labels, as not every class's name can be a folder's")
    if task == "single-label" and not by_folder and any("|" in name or ";" in name or "\t" in name for name in classes):
        notes.append("a class's name holds a delimiter: train with --delimiter ''")
    return tuple(notes)
