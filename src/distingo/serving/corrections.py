"""Corrections sent from the web page: ``POST /corrections`` and the store behind it.

The store is a SQLite file with each image once and all corrections of it. Several processes may write at the same time:
the file is in write-ahead mode, and each call opens its own connection. It is for images that clients uploaded;
`distingo.datasets.corrections` handles those of a data set.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
from fastapi import FastAPI, Request, Response

from distingo.datasets.corrections import utc_now
from distingo.datasets.decoding.formats import detect_format
from distingo.errors import DataError, DistingoError, ResourceError, suggest_names
from distingo.records import Task
from distingo.serving import documentation
from distingo.serving.answers import as_answer
from distingo.serving.documentation import LONGEST_LABEL
from distingo.serving.http.access import RefusedError
from distingo.serving.http.bodies import Part, client_of_request, media_type, parse_form
from distingo.serving.served_models import ServedModel

if TYPE_CHECKING:
    from distingo.serving.service import Service

DEFAULT_MOST_BYTES = 4 * 1024**3
"""Largest size of the file in bytes, so that untrusted clients can't fill the disk."""

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
    """The file of corrections has reached its size limit."""


@dataclass(frozen=True, slots=True)
class SentCorrection:
    """A correction as a client sends it.

    Attributes:
        image: The file's bytes as uploaded.
        format: The file's format, as returned by `distingo.datasets.decoding.formats.detect_format`.
        model: The model's name.
        version: The model's version.
        task: Single-label or multi-label.
        labels: The correct labels: exactly one if single-label, any number if multi-label.
        predicted: The model's prediction, as decoded JSON.
    """

    image: bytes
    format: str
    model: str
    version: str
    task: Task
    labels: tuple[str, ...]
    predicted: Any


@dataclass(frozen=True, slots=True)
class StoredCorrection:
    """The latest correction of one image for one model.

    Attributes:
        id: Its ID in the file.
        at: When it was sent, in UTC as ISO 8601.
        sha256: Hexadecimal SHA-256 of the image's bytes.
        format: As in `SentCorrection`, like the attributes from `model` to `predicted`.
        times: How often the image has been corrected for this model, including this time.
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
    """A file of corrections; safe to use from several threads and processes.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, *, create: bool = True, most_bytes: int = DEFAULT_MOST_BYTES) -> None:
        """Open or create the file; only its owner can read it, since it contains other people's images.

        Args:
            path: The file.
            create: Whether to create the file if it does not exist.
            most_bytes: Largest size of the file in bytes.

        Raises:
            DataError: The file does not exist, or is not a file of corrections.
            ResourceError: The file can't be created or opened.
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

    def add(self, sent: SentCorrection) -> int:
        """Store a correction next to earlier ones of the same image.

        Returns:
            The correction's ID.

        Raises:
            StoreFullError: The file would grow beyond its limit.
            ResourceError: The file can't be written.
        """
        sha256 = hashlib.sha256(sent.image).hexdigest()
        row = (utc_now(), sha256, sent.model, sent.version, sent.task, _to_json(sent.labels), _to_json(sent.predicted))
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            stored = connection.execute("SELECT 1 FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
            self._require_room(connection, 0 if stored else len(sent.image))
            if not stored:
                image = (sha256, sent.format, sent.image)
                connection.execute("INSERT INTO pictures (sha256, format, content) VALUES (?, ?, ?)", image)
            cursor = connection.execute(
                "INSERT INTO corrections (at, sha256, model, version, task, labels, predicted) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            return int(cursor.lastrowid or 0)

    def models(self) -> dict[str, int]:
        """The number of corrected images of each model, by the model's name."""
        query = "SELECT model, count(DISTINCT sha256) FROM corrections GROUP BY model ORDER BY model"
        with self._connected() as connection:
            return dict(connection.execute(query).fetchall())

    def latest(self, model: str) -> list[StoredCorrection]:
        """The latest correction of each image for a model, in the order in which they were sent."""
        query = (
            "SELECT max(id), at, sha256, format, model, version, task, labels, predicted, count(*) "
            "FROM corrections JOIN pictures USING (sha256) WHERE model = ? GROUP BY sha256 ORDER BY max(id)"
        )  # with max(), SQLite takes the other columns from the same row
        with self._connected() as connection:
            return [_read(row) for row in connection.execute(query, (model,))]

    def history(self, sha256: str, model: str) -> list[StoredCorrection]:
        """All corrections of one image for a model, oldest first."""
        query = (
            "SELECT id, at, sha256, format, model, version, task, labels, predicted, "
            "row_number() OVER (ORDER BY id) "
            "FROM corrections JOIN pictures USING (sha256) WHERE model = ? AND sha256 = ? ORDER BY id"
        )
        with self._connected() as connection:
            return [_read(row) for row in connection.execute(query, (model, sha256))]

    def image(self, sha256: str) -> bytes:
        """Read the bytes of an uploaded image.

        Raises:
            DataError: The image is missing, or its bytes no longer match the hash.
        """
        with self._connected() as connection:
            row = connection.execute("SELECT content FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None or hashlib.sha256(row[0]).hexdigest() != sha256:
            raise DataError(
                f"{self.path}: image {sha256[:16]} is missing or damaged; restore the file from a copy",
                code="damaged_file",
            )
        return bytes(row[0])

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


def _read(row: tuple[Any, ...]) -> StoredCorrection:
    number, at, sha256, file_format, model, version, task, labels, predicted, times = row
    names = tuple(str(label) for label in json.loads(labels))
    prediction = json.loads(predicted)
    return StoredCorrection(number, at, sha256, file_format, model, version, cast(Task, task), names, prediction, times)


def _to_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


_MOST_PREDICTED_BYTES = 256 * 1024

_SUFFICIENT_SIDE = 64

_log = logging.getLogger("distingo.serving")


def add_correction_route(app: FastAPI, service: Service, store: CorrectionStore | None) -> None:
    """Add the route that accepts corrections.

    Args:
        app: The application to add it to.
        service: The models and limits.
        store: Where corrections are stored; None refuses all of them.
    """

    @app.post("/corrections", **documentation.CORRECT)
    async def correct(request: Request) -> Response:
        if store is None:
            raise RefusedError(403, "the owner of this server stores no corrections", closes=True)
        content_type = request.headers.get("content-type", "")
        async with service.receive(request, partial(_read_form, content_type)) as parts:
            with service.slots.hold(1):
                sent = await asyncio.to_thread(_read_parts, service, parts, client_of_request(request))
                return as_answer({"id": await asyncio.to_thread(_store, store, sent)}, 201)


def _read_form(content_type: str, body: bytes) -> list[Part]:
    if media_type(content_type) != "multipart/form-data":
        raise RefusedError(415, "a body of another type; send multipart/form-data")
    return parse_form(body, content_type, 1)


def _read_parts(service: Service, parts: Sequence[Part], client: str) -> SentCorrection:
    """Read a correction and check that its image can be decoded, so that everything stored can be trained on."""
    model = service.models.get(_text(_only(parts, "model")))
    labels = _read_labels(model, parts, new_classes=service.settings.new_classes)
    part = _only(parts, "image") or _only(parts, "picture")  # its name in version 0.1
    if part is None:
        raise RefusedError(422, "no image in the form; send its file in the field 'image'")
    content = bytes(part.content)
    service.models.check_image(content, enough=_SUFFICIENT_SIDE, client=client)
    return SentCorrection(
        content,
        detect_format(content),
        model.name,
        model.version,
        model.predictor.task,
        labels,
        _read_predicted(_only(parts, "predicted")),
    )


def _read_labels(model: ServedModel, parts: Sequence[Part], *, new_classes: bool) -> tuple[str, ...]:
    classes = model.predictor.classes
    labels = dict.fromkeys(_read_label(part) for part in parts if part.name == "labels")
    if model.predictor.task == "single-label" and len(labels) != 1:
        raise RefusedError(422, f"{len(labels)} labels; send exactly one in the field 'labels'")
    unknown = [] if new_classes else [label for label in labels if label not in classes]
    if unknown:
        nearest = suggest_names(unknown[0], list(classes), otherwise="GET /models lists them")
        raise RefusedError(422, f"{unknown[0]!r} is no class of the model; {nearest}")
    return tuple(labels)


def _read_label(part: Part) -> str:
    label = unicodedata.normalize("NFC", _text(part) or "").strip()
    if not label or len(label) > LONGEST_LABEL or not label.isprintable():
        raise RefusedError(422, f"a label is empty, longer than {LONGEST_LABEL} characters or not printable")
    return label


def _only(parts: Sequence[Part], name: str) -> Part | None:
    named = [part for part in parts if part.name == name]
    if len(named) > 1:
        raise RefusedError(422, f"the field {name!r} came {len(named)} times; send it once")
    return named[0] if named else None


def _text(part: Part | None) -> str | None:
    if part is None:
        return None
    try:
        return part.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(422, f"the field {part.name[:40]!r} is no UTF-8") from error


def _read_predicted(part: Part | None) -> object:
    if part is None or not part.content:
        return None
    if len(part.content) > _MOST_PREDICTED_BYTES:
        raise RefusedError(
            422, f"'predicted' is longer than {_MOST_PREDICTED_BYTES:,} bytes; send the first classes only"
        )
    try:
        predicted: object = orjson.loads(part.content)
        orjson.dumps(predicted)  # raises if it is nested too deeply to be written
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise RefusedError(422, "'predicted' is no valid JSON, or nested too deeply") from error
    return predicted


def _store(store: CorrectionStore, sent: SentCorrection) -> int:
    try:
        return store.add(sent)
    except StoreFullError as error:
        _log.warning("%s", error)
        raise RefusedError(403, "the owner of this server stores no more corrections: their file is full") from error
    except DistingoError as error:
        _log.error("%s", error)
        raise RefusedError(503, "the correction can't be stored now; try again soon") from error
