"""``POST /corrections``: what a person says a picture shows, kept if the owner of the server allows it."""

from __future__ import annotations

import asyncio
import logging
import unicodedata
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from distingo.datasets.decoding.formats import detect_format
from distingo.errors import DistingoError, name_the_nearest
from distingo.serving.answers import as_answer
from distingo.serving.bodies import Part, media_type, parse_form
from distingo.serving.clients import client_of
from distingo.serving.corrections import CorrectionStore, SentCorrection, StoreFullError
from distingo.serving.judging import Judging
from distingo.serving.refused import RefusedError
from distingo.serving.schemas import ErrorAnswer
from distingo.serving.served import ServedModel

LONGEST_LABEL = 200
MOST_PREDICTED_BYTES = 256 * 1024

_ENOUGH = 64
_log = logging.getLogger("distingo.serving")


class KeptAnswer(BaseModel):
    """The number under which a correction is kept."""

    id: int


_MEANINGS = {
    400: "The form is damaged",
    401: "No key, or one that is not known",
    403: "The owner of this server keeps no corrections, or no more",
    404: "No such model",
    408: "The body came too slowly",
    413: "Too many bytes or pixels",
    415: "No form, or no accepted type of picture",
    422: "A picture, label or prediction that can't be used",
    429: "More requests than are allowed",
    503: "It can't be kept now; try again soon",
}
_FORM = {
    "type": "object",
    "required": ["picture"],
    "properties": {
        "picture": {"type": "string", "format": "binary"},
        "model": {"type": "string", "description": "Needed where several models are served"},
        "labels": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_LABEL},
            "description": "The right class; with several labels per picture any number, perhaps none",
        },
        "predicted": {"type": "string", "description": "What the model had said, as JSON"},
    },
}
_WORDS: dict[str, Any] = {
    "operation_id": "correct",
    "summary": "Keep what a picture really shows",
    "status_code": 201,
    "responses": {
        201: {"model": KeptAnswer, "description": "It is kept"},
        **{status: {"model": ErrorAnswer, "description": meaning} for status, meaning in _MEANINGS.items()},
    },
    "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
}


def add_corrections(app: FastAPI, judging: Judging, store: CorrectionStore | None) -> None:
    """Offer the route that takes corrections.

    Args:
        app: To add it to.
        judging: With the models and limits.
        store: Where corrections are kept; None refuses them all.
    """

    @app.post("/corrections", **_WORDS)
    async def correct(request: Request) -> Response:
        if store is None:
            raise RefusedError(403, "the owner of this server keeps no corrections", closes=True)
        judging.places.check()
        with judging.bodies.watch() as allowance, judging.places.hold(1):
            body = await judging.bodies.read(request, allowance)
            client = client_of(request.client.host if request.client else "")
            sent = await asyncio.to_thread(_read, judging, body, request.headers.get("content-type", ""), client)
            return as_answer({"id": await asyncio.to_thread(_keep, store, sent)}, 201)


def _read(judging: Judging, body: bytes, content_type: str, client: str) -> SentCorrection:
    """Take a form apart, and see that the picture is one: what is kept can be trained on."""
    if media_type(content_type) != "multipart/form-data":
        raise RefusedError(415, "a body of another type; send multipart/form-data")
    parts = parse_form(body, content_type, 1)
    model = judging.models.get(_text(_only(parts, "model")))
    labels = _read_labels(model, parts, new_classes=judging.settings.new_classes)
    picture = _only(parts, "picture")
    if picture is None:
        raise RefusedError(422, "no picture in the form; send its file in the field 'picture'")
    judging.models.check_image(picture.content, enough=_ENOUGH, client=client)
    content = bytes(picture.content)
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
    given = dict.fromkeys(_read_label(part) for part in parts if part.name == "labels")
    if model.predictor.task == "single-label" and len(given) != 1:
        raise RefusedError(422, f"{len(given)} labels; send exactly one in the field 'labels'")
    unknown = [] if new_classes else [label for label in given if label not in classes]
    if unknown:
        raise RefusedError(422, f"{unknown[0]!r} is no class of the model; {_nearest(unknown[0], classes)}")
    return tuple(given)


def _read_label(part: Part) -> str:
    label = unicodedata.normalize("NFC", _text(part) or "").strip()
    if not label or len(label) > LONGEST_LABEL or not label.isprintable():
        raise RefusedError(422, f"a label is empty, longer than {LONGEST_LABEL} characters or not printable")
    return label


def _nearest(label: str, classes: tuple[str, ...]) -> str:
    return name_the_nearest(label, list(classes), otherwise="GET /models lists them")


def _only(parts: Sequence[Part], name: str) -> Part | None:
    found = [part for part in parts if part.name == name]
    if len(found) > 1:
        raise RefusedError(422, f"the field {name!r} came {len(found)} times; send it once")
    return found[0] if found else None


def _text(part: Part | None) -> str | None:
    if part is None:
        return None
    try:
        return part.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(422, f"the field {part.name[:40]!r} is no UTF-8") from error


def _read_predicted(part: Part | None) -> Any:
    if part is None or not part.content:
        return None
    if len(part.content) > MOST_PREDICTED_BYTES:
        raise RefusedError(
            422, f"'predicted' is longer than {MOST_PREDICTED_BYTES:,} bytes; send the first classes only"
        )
    try:
        predicted = orjson.loads(part.content)
        orjson.dumps(predicted)  # refuses what is nested too deeply to be written
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise RefusedError(422, "'predicted' is no valid JSON, or nested too deeply") from error
    return predicted


def _keep(store: CorrectionStore, sent: SentCorrection) -> int:
    try:
        return store.keep(sent)
    except StoreFullError as error:
        _log.warning("%s", error)
        raise RefusedError(403, "the owner of this server takes no more corrections: their place is full") from error
    except DistingoError as error:
        _log.error("%s", error)
        raise RefusedError(503, "the correction can't be kept now; try again soon") from error
