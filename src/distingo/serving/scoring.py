"""Rows of images as scoring protocols send them: KServe v1 and TensorFlow Serving, MLflow, SageMaker.

A row is an image's file in base64, ``{"b64": base64}``, an object that holds one of these, or pixels as nested lists.

Scoring protocols over one model: KServe v1 ``:predict``, MLflow's ``/invocations``, and SageMaker's of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response

from distingo.errors import UsageError
from distingo.serving import documentation
from distingo.serving.answers import as_answer, name_and_count
from distingo.serving.asking import MOST_LABELS, Upload, Wishes, decode_base64, read_form, read_json_object, read_wishes
from distingo.serving.batching import Later
from distingo.serving.bodies import media_type, says_json, take_apart
from distingo.serving.judging import Judging
from distingo.serving.open_inference import as_pixels
from distingo.serving.open_inference_tensors import NestingError, NotNumbersError, read_nested, shape_of
from distingo.serving.pictures import check_tensor_size
from distingo.serving.refused import RefusedError
from distingo.serving.served import ServedModel

_RAW = ("application/octet-stream", "application/x-image")

_BASE64 = "b64"

_IMAGE_COLUMNS = ("image", "images", "picture", "pictures", "image_bytes", "input", "inputs", "data", "content", "file")

_OBJECT_FORMATS = ("instances", "inputs", "dataframe_split", "dataframe_records")

_DEEPEST = 3

_ALL_CLASSES = Wishes(top_k=MOST_LABELS)

_PIXEL_DIMENSIONS = (2, 3)

_MOST_COLUMNS = 100

_FEW_LINES = 10_000

_SHORT_LINE = 32

_LONGEST_COLUMN_NAME = 40
"""The smallest file of an image takes 48 characters in base64: a shorter first line of a CSV names the column."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a request holds.

    Attributes:
        images: Files, or pixels as uint8 (height, width, 1 or 3).
        wishes: Of the request.
    """

    images: tuple[Upload | np.ndarray, ...]
    wishes: Wishes

    def looks(self, model: ServedModel) -> list[Callable[[], np.ndarray | Later]]:
        """What decodes each image to what a model looks at."""
        return [
            partial(model.look_at, image)
            if isinstance(image, np.ndarray)
            else partial(model.look_at_bytes, image.content)
            for image in self.images
        ]

    def names(self) -> list[str]:
        """What the client calls each image; those that came in lists are numbered."""
        return [
            image.name if isinstance(image, Upload) else f"picture {number}"
            for number, image in enumerate(self.images, 1)
        ]


@dataclass(frozen=True, slots=True)
class RowLimits:
    """How much one request may hold.

    Attributes:
        pictures: At most.
        pixels: Of each of them that comes as numbers.
    """

    pictures: int
    pixels: int


def read_instances(body: bytes, query: Mapping[str, str], limits: RowLimits) -> Rows:
    """A body of ``{"instances": [...]}`` or ``{"inputs": ...}``, with ``params`` or ``parameters`` for wishes.

    Raises:
        RefusedError: It is of another form (400, 422), or holds too much (413).
    """
    return _read_object(read_json_object(body), query, limits, ("instances", "inputs"))


def read_invocation(body: bytes, content_type: str, query: Mapping[str, str], limits: RowLimits) -> Rows:
    """A body of ``/invocations``: JSON as MLflow's scoring server takes it, CSV, an image's bytes, or a form.

    Raises:
        RefusedError: It is of another form (400, 415, 422), or holds too much (413).
    """
    kind = media_type(content_type)
    wishes = read_wishes(query, _ALL_CLASSES)
    if kind == "application/json":
        return _read_object(read_json_object(body), query, limits, _OBJECT_FORMATS)
    if kind == "text/csv":
        return Rows(_read_rows(_read_csv(body, limits), limits), wishes)
    if kind == "multipart/form-data":
        uploads, wishes = read_form(body, content_type, wishes, limits.pictures)
        return Rows(_counted(uploads, limits), wishes)
    if kind in _RAW or kind.startswith("image/"):
        return Rows((Upload("picture", body),), wishes)
    raise RefusedError(
        415, "a body of another type; send application/json, text/csv, multipart/form-data, image/* or"
        " application/octet-stream",
    )  # fmt: skip


def _read_object(said: dict[str, Any], query: Mapping[str, str], limits: RowLimits, formats: tuple[str, ...]) -> Rows:
    named = [name for name in formats if name in said]
    if len(named) != 1:
        raise RefusedError(422, f"send exactly one of {', '.join(formats)} in the JSON")
    wishes = read_wishes(query, _ALL_CLASSES)
    for name in ("params", "parameters"):
        given = said.get(name)
        if given is not None and not isinstance(given, dict):
            raise RefusedError(422, f"{name!r} is no object")
        wishes = read_wishes(given or {}, wishes)
    content = said[named[0]]
    if named[0] == "dataframe_split":
        content = _column_of_split(content)
    elif named[0] == "inputs":
        content = _column_of_inputs(content)
    if not isinstance(content, list):
        raise RefusedError(422, f"{named[0]!r} is no list")
    return Rows(_read_rows(content, limits), wishes)


def _column_of_split(content: Any) -> list[Any]:
    """The images of ``{"columns": [...], "data": [[...], ...]}``."""
    columns, data = (content.get("columns"), content.get("data")) if isinstance(content, dict) else (None, None)
    if columns is None and isinstance(data, list):
        columns = ["image"]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RefusedError(422, "'dataframe_split' is no object with 'columns' and 'data'")
    at = _choose_column(columns)
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise RefusedError(422, f"a row of 'data' that has not {len(columns)} values")
    return [row[at] for row in data]


def _column_of_inputs(content: Any) -> Any:
    """The images of a list, of one image, or of an object of columns."""
    if isinstance(content, str) or (isinstance(content, dict) and _BASE64 in content):
        return [content]
    if isinstance(content, dict):
        column = list(content.values())[_choose_column(list(content))]
        return column if isinstance(column, list) else [column]
    return content


def _choose_column(names: Sequence[Any]) -> int:
    """Which column it is: the only one, whatever it is called, or the one that is called like an image."""
    found = [at for at, name in enumerate(names) if isinstance(name, str) and name.lower() in _IMAGE_COLUMNS]
    if len(names) == 1:
        return 0
    if len(found) != 1:
        raise RefusedError(
            422, f"{len(names)} columns of which {len(found)} are called like an image; send one column 'image'"
        )
    return found[0]


def _read_rows(rows: list[Any], limits: RowLimits) -> tuple[Upload | np.ndarray, ...]:
    _counted(rows, limits)
    return tuple(_read_row(row, f"picture {number}", limits) for number, row in enumerate(rows, 1))


def _counted(rows: list[Any], limits: RowLimits) -> tuple[Any, ...]:
    if not rows:
        raise RefusedError(422, "no picture in the request; send at least one")
    if len(rows) > limits.pictures:
        raise RefusedError(413, f"{len(rows):,} pictures, at most {limits.pictures} are taken; send fewer at once")
    return tuple(rows)


def _read_row(row: Any, name: str, limits: RowLimits, depth: int = 1) -> Upload | np.ndarray:
    if isinstance(row, dict) and depth <= _DEEPEST and row:
        if _BASE64 in row:
            return Upload(name, decode_base64(row[_BASE64], f"{_BASE64!r} of {name}"))
        return _read_row(list(row.values())[_choose_column(list(row))], name, limits, depth + 1)
    if isinstance(row, list):
        return _read_pixels(row, name, limits)
    return Upload(name, decode_base64(row, name))


def _read_pixels(nested: list[Any], name: str, limits: RowLimits) -> np.ndarray:
    no_pixels = RefusedError(422, f"{name} holds no pixels; send them as [height][width][3], or the file in base64")
    shape = shape_of(nested)
    if len(shape) not in _PIXEL_DIMENSIONS or 0 in shape:
        raise no_pixels
    channels = shape[2] if len(shape) == len(("height", "width", "channels")) else 1
    if channels not in {1, 3}:
        raise RefusedError(422, f"{name} has {channels} channels; send 3, or 1 for grey pictures")
    check_tensor_size(shape[0], shape[1], limits.pixels)
    try:
        values = read_nested(nested, {bool, int, float})
    except NestingError as error:
        raise RefusedError(422, f"{name} is nested unevenly; send pixels as [height][width][3]") from error
    except NotNumbersError as error:
        raise no_pixels from error
    return as_pixels(values.reshape(shape[0], shape[1], channels), name)


def _read_csv(body: bytes, limits: RowLimits) -> list[Any]:
    """The images of a CSV with one column of base64, or with several of which one is called like an image."""
    import pyarrow as pa
    from pyarrow import csv

    most_cells = _MOST_COLUMNS * (limits.pictures + 1)
    if body.count(b",") > most_cells or body.count(b"\n") + body.count(b"\r") > _lines_in(len(body)):
        raise RefusedError(413, "a CSV of too many cells or lines; send one column 'image' of files in base64")
    pool = pa.system_memory_pool()  # it gives back what it had for a request
    try:
        table = csv.read_csv(
            pa.BufferReader(body),
            read_options=csv.ReadOptions(
                use_threads=False, autogenerate_column_names=True, block_size=max(1, len(body) + 1)
            ),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            memory_pool=pool,
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise RefusedError(422, "a damaged CSV; send one column 'image' of files in base64") from error
    names = [str(column[0].as_py()).strip() for column in table.columns if table.num_rows]
    has_names = bool(names) and all(len(name) < _LONGEST_COLUMN_NAME for name in names)
    if not has_names and table.num_columns != 1:
        raise RefusedError(422, f"a CSV of {table.num_columns} columns without names; send one column 'image'")
    if table.num_rows - has_names > limits.pictures:
        raise RefusedError(413, f"more than {limits.pictures} pictures; send fewer at once")
    rows: list[Any] = table.column(_choose_column(names) if has_names else 0).to_pylist()
    return rows[1:] if has_names else rows


def _lines_in(length: int) -> int:
    """So many lines may a CSV have, also within the base64 of a cell, where they are about 76 characters long."""
    return _FEW_LINES + length // _SHORT_LINE


_DEFAULT_TYPE = "application/octet-stream"


def add_scoring_routes(app: FastAPI, judging: Judging) -> None:
    """Offer the routes."""
    limits = RowLimits(judging.settings.max_pictures, judging.settings.max_pixels)

    @app.get("/v1/models", **documentation.V1_MODELS)
    async def list_v1_models() -> Response:
        return as_answer({"models": [model.name for model in judging.models]})

    @app.get("/v1/models/{name}", **documentation.V1_READY)
    async def v1_ready(request: Request) -> Response:
        return as_answer({"name": judging.models.get(request.path_params["name"]).name, "ready": True})

    @app.post("/v1/models/{name}:predict", **documentation.V1_PREDICT)
    async def v1_predict(request: Request) -> Response:
        def read(body: bytes) -> Rows:
            rows = read_instances(body, request.query_params, limits)
            return replace(rows, wishes=replace(rows.wishes, model=request.path_params["name"]))

        return await _score(judging, request, read, is_json=True)

    @app.post("/invocations", **documentation.INVOCATIONS)
    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", _DEFAULT_TYPE)
        return await _score(judging, request, lambda body: read_invocation(body, kind, request.query_params, limits))

    @app.get("/ping", **documentation.PING)
    async def ping() -> Response:
        return Response("\n", media_type="application/json")


async def _score(
    judging: Judging, request: Request, read: Callable[[bytes], Rows], *, is_json: bool = False
) -> Response:
    judging.places.check()
    with judging.bodies.watch() as allowance:
        body = await judging.bodies.read(request, allowance)
        if is_json and not says_json(request):
            judging.bodies.charge_values(allowance, body)
        rows = await take_apart(body, partial(read, body))
        model = judging.models.get(rows.wishes.model)
        _check(model, rows)
        verdicts = await judging.judge(request, model, rows.looks(model))
        if len(verdicts) == 1 and isinstance(verdicts[0], RefusedError):
            judging.metrics.unread.labels(model.name, str(verdicts[0].status)).inc()
            raise verdicts[0].anew()
        entries = [
            name_and_count(judging.metrics, model, name, verdict, rows.wishes)
            for name, verdict in zip(rows.names(), verdicts, strict=True)
        ]
        return as_answer({"predictions": [_as_row(entry) for entry in entries]})


def _check(model: ServedModel, rows: Rows) -> None:
    """Refuse what can't be granted before anything is decoded."""
    if rows.wishes.explain:
        raise RefusedError(422, "'explain' is answered by POST /predict alone")
    try:
        model.certainty(rows.wishes.abstain, rows.wishes.coverage)
    except UsageError as error:
        raise RefusedError(422, str(error).removeprefix("--")) from error


def _as_row(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of ``POST /predict`` as the row that the model which MLflow keeps gives for the same image."""
    scores = entry["scores"]
    return {
        "label": entry["label"],
        "probability": scores[0]["probability"] if scores else None,
        "labels": entry["labels"],
        "known": entry["known"],
        "probabilities": {score["label"]: score["probability"] for score in scores},
        "error": None if entry["error"] is None else entry["error"]["reason"],
    }
