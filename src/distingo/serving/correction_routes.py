"""The route ``POST /corrections``, which stores corrected labels of images if the server's owner allows it."""

from __future__ import annotations

import asyncio
import logging
import unicodedata
from collections.abc import Sequence
from functools import partial

import orjson
from fastapi import FastAPI, Request, Response

from distingo.datasets.decoding.formats import detect_format
from distingo.errors import DistingoError, name_the_nearest
from distingo.serving import documentation
from distingo.serving.answers import as_answer
from distingo.serving.corrections import CorrectionStore, SentCorrection, StoreFullError
from distingo.serving.documentation import LONGEST_LABEL
from distingo.serving.http.bodies import Part, client_of_request, media_type, parse_form
from distingo.serving.http.errors import RefusedError
from distingo.serving.served_models import ServedModel
from distingo.serving.service import Service

_MOST_PREDICTED_BYTES = 256 * 1024
_ENOUGH = 64
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
                sent = await asyncio.to_thread(_read, service, parts, client_of_request(request))
                return as_answer({"id": await asyncio.to_thread(_keep, store, sent)}, 201)


def _read_form(content_type: str, body: bytes) -> list[Part]:
    if media_type(content_type) != "multipart/form-data":
        raise RefusedError(415, "a body of another type; send multipart/form-data")
    return parse_form(body, content_type, 1)


def _read(service: Service, parts: Sequence[Part], client: str) -> SentCorrection:
    """Read a correction and check that its image can be decoded, so that everything stored can be trained on."""
    model = service.models.get(_text(_only(parts, "model")))
    labels = _read_labels(model, parts, new_classes=service.settings.new_classes)
    part = _only(parts, "picture")
    if part is None:
        raise RefusedError(422, "no image in the form; send its file in the field 'picture'")
    content = bytes(part.content)
    service.models.check_image(content, enough=_ENOUGH, client=client)
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
        nearest = name_the_nearest(unknown[0], list(classes), otherwise="GET /models lists them")
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


def _keep(store: CorrectionStore, sent: SentCorrection) -> int:
    try:
        return store.keep(sent)
    except StoreFullError as error:
        _log.warning("%s", error)
        raise RefusedError(403, "the owner of this server stores no more corrections: their file is full") from error
    except DistingoError as error:
        _log.error("%s", error)
        raise RefusedError(503, "the correction can't be stored now; try again soon") from error
