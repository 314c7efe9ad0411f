"""The routes that predict images.

- ``POST /predict`` and, in the format of Hugging Face, ``POST /models/{name}``.
- ``:predict`` of KServe v1, and ``/invocations`` of MLflow and SageMaker. Their requests contain rows. A row is an
  image's file in base64, ``{"b64": base64}``, an object that contains one of these, or pixels as nested lists.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from fastapi import FastAPI, Request, Response

from distingo.prediction.naming import ModelOutput
from distingo.scores import Prediction
from distingo.serving import documentation
from distingo.serving.answers import (
    ErrorDetail,
    ImagePrediction,
    LabelScore,
    ModelIdentity,
    PredictAnswer,
    ScoredRow,
    ScoredRows,
    as_answer,
)
from distingo.serving.http.access import RefusedError
from distingo.serving.http.bodies import media_type
from distingo.serving.images import RequestImage, check_pixels
from distingo.serving.metrics import Metrics
from distingo.serving.requests import (
    BASE64,
    MOST_LABELS,
    RAW,
    ImageRequest,
    RequestOptions,
    check_count,
    choose_column,
    decode_base64,
    is_file_type,
    number_name,
    read_csv,
    read_data_frame,
    read_form,
    read_inputs,
    read_json,
    read_json_object,
    read_options,
    read_parameters,
)
from distingo.serving.served_models import ServedModel
from distingo.serving.service import MOST_EXPLAINED, Service
from distingo.serving.settings import ServeSettings
from distingo.serving.tensors import NestingError, NotNumbersError, as_pixels, read_nested, shape_of

PREDICT_PATH = "/predict"


def add_predict_routes(app: FastAPI, service: Service) -> Callable[[Request], Awaitable[Response]]:
    """Add the routes that predict.

    Returns:
        The handler of ``POST /predict``, for `distingo.serving.http.guard.DirectRoute`.
    """
    most = service.settings.max_images

    @app.post(PREDICT_PATH, **documentation.PREDICT)
    async def predict(request: Request) -> Response:
        async with service.receive(request, partial(_read_images, request, most)) as parsed:
            model = service.models.get(parsed.options.model)
            return as_answer(await _predict(service, request, model, parsed))

    @app.post("/models/{name}", **documentation.CLASSIFY)
    async def classify_image(request: Request) -> Response:
        async with service.receive(request, partial(_read_inputs, request)) as parsed:
            model = service.models.get(request.path_params["name"])
            answer = await _predict(service, request, model, parsed)
            scores = answer["predictions"][0]["scores"]
            shown: list[LabelScore] = [{"label": each["label"], "score": each["probability"]} for each in scores]
            return as_answer(shown)

    return predict


async def _predict(service: Service, request: Request, model: ServedModel, parsed: ImageRequest) -> PredictAnswer:
    options = parsed.options
    if options.explain and len(parsed.images) > MOST_EXPLAINED:
        reason = f"explain with {len(parsed.images)} images; at most {MOST_EXPLAINED} are explained at once"
        raise RefusedError(422, reason)
    entries = []
    for image in await service.predict(request, model, parsed.images, options):
        entry = answer_image(service.metrics, model, image, options)
        if options.explain and entry["label"] is not None:
            entry["explanation"] = await service.explain(model, image, entry["label"])
        entries.append(entry)
    identity: ModelIdentity = {"name": model.name, "version": model.version}
    return {"model": identity, "task": model.predictor.task, "predictions": entries}


def _read_images(request: Request, most: int, body: bytes) -> ImageRequest:
    options = read_options(request.query_params)
    content_type = request.headers.get("content-type", RAW)
    kind = media_type(content_type)
    if kind == "multipart/form-data":
        return read_form(body, content_type, options, most)
    if kind == "application/json":
        return read_json(body, options, most)
    if is_file_type(content_type):
        return ImageRequest((RequestImage(request.query_params.get("name", "image")[:255], body),), options)
    raise RefusedError(
        415, "a body of another type; send multipart/form-data, application/json, image/* or application/octet-stream"
    )


def _read_inputs(request: Request, body: bytes) -> ImageRequest:
    """Read a body in the format of Hugging Face: the image itself, or JSON with ``inputs`` and ``parameters``."""
    options = read_options(request.query_params)
    content_type = request.headers.get("content-type", RAW)
    if is_file_type(content_type):
        return ImageRequest((RequestImage("image", body),), options)
    if media_type(content_type) != "application/json":
        raise RefusedError(415, "a body of another type; send application/json, image/* or application/octet-stream")
    content = read_json_object(body)
    parameters = read_parameters(content)
    if parameters.get("function_to_apply") not in (None, "softmax", "sigmoid"):
        raise RefusedError(422, "'function_to_apply' is not known; probabilities are always calibrated ones")
    options = read_options({"top_k": parameters.get("top_k")}, options)
    return ImageRequest((RequestImage("image", decode_base64(content.get("inputs"), "'inputs'")),), options)


def answer_image(metrics: Metrics, model: ServedModel, image: RequestImage, options: RequestOptions) -> ImagePrediction:
    """Build the entry of ``predictions`` for one image, and count the predicted labels.

    Args:
        metrics: The metrics in which the labels are counted.
        model: The model that scored the image.
        image: A scored or refused image.
        options: The request's options.
    """
    if image.refusal is not None:
        error: ErrorDetail = {"status": image.refusal.status, "reason": image.refusal.reason}
        return _entry(image, error=error)
    entry = _describe(model, image, options)
    version = (model.name, model.version)
    for label in {score["label"] for score in entry["scores"] if score["given"]}:
        metrics.predicted.labels(*version, label).inc()
    if not entry["known"]:
        metrics.unknown.labels(*version).inc()
    if entry["unlike_training"]:
        metrics.ood.labels(*version).inc()
    return entry


def _describe(model: ServedModel, image: RequestImage, options: RequestOptions) -> ImagePrediction:
    predictor, probabilities = model.predictor, image.probabilities
    certainty = model.certainty(options.abstain, options.coverage)
    evaluated = ModelOutput(probabilities[None], None if image.is_ood is None else np.array([image.is_ood]))
    prediction = predictor.describe(image.name, evaluated, 0, topk=options.top_k, certainty=certainty)
    thresholds = predictor.thresholds or {}
    if options.threshold is not None:
        thresholds = dict.fromkeys(predictor.classes, options.threshold)
    labels = _labels(model, prediction, probabilities, options)
    entry = _entry(image)
    entry["label"] = prediction.label
    entry["labels"] = labels
    entry["known"] = not prediction.abstained and bool(labels or predictor.task == "multi-label")
    entry["unlike_training"] = prediction.unlike
    entry["scores"] = [
        {"label": label, "probability": probability, "threshold": thresholds.get(label), "given": label in labels}
        for label, probability in zip(prediction.labels, prediction.probabilities, strict=True)
    ]
    entry["set"] = None if prediction.prediction_set is None else list(prediction.prediction_set)
    return entry


def _labels(
    model: ServedModel, prediction: Prediction, probabilities: np.ndarray, options: RequestOptions
) -> list[str]:
    """The predicted labels, most probable first, by the request's threshold or else the model's own."""
    if model.predictor.task == "single-label":
        is_confident = not prediction.abstained and prediction.confidence >= (options.threshold or 0.0)
        return [prediction.label] if is_confident else []
    if options.threshold is None:
        return list(prediction.given or ())
    lowest = max(options.threshold, model.certainty(options.abstain, options.coverage).answer_probability or 0.0)
    order = np.argsort(-probabilities, kind="stable").tolist()
    return [model.predictor.classes[index] for index in order if float(probabilities[index]) >= lowest]


def _entry(image: RequestImage, error: ErrorDetail | None = None) -> ImagePrediction:
    return {
        "image": image.name,
        "label": None,
        "labels": [],
        "known": False,
        "unlike_training": None,
        "scores": [],
        "set": None,
        "explanation": None,
        "error": error,
    }


_OBJECT_FORMATS = ("instances", "inputs", "dataframe_split", "dataframe_records")

_DEEPEST = 3

_ALL_CLASSES = RequestOptions(top_k=MOST_LABELS)

_PIXEL_DIMENSIONS = (2, 3)


def add_scoring_routes(app: FastAPI, service: Service) -> None:
    """Add the protocols' routes to an application."""

    @app.get("/v1/models", **documentation.V1_MODELS)
    async def list_v1_models() -> Response:
        return as_answer({"models": [model.name for model in service.models]})

    @app.get("/v1/models/{name}", **documentation.V1_READY)
    async def v1_ready(request: Request) -> Response:
        return as_answer({"name": service.models.get(request.path_params["name"]).name, "ready": True})

    @app.post("/v1/models/{name}:predict", **documentation.V1_PREDICT)
    async def v1_predict(request: Request) -> Response:
        return await _score(service, request, _read_instances, json_part=bytes)

    @app.post("/invocations", **documentation.INVOCATIONS)
    async def invocations(request: Request) -> Response:
        return await _score(service, request, _read_invocation)

    @app.get("/ping", **documentation.PING)
    async def ping() -> Response:
        return Response("\n", media_type="application/json")


async def _score(
    service: Service,
    request: Request,
    read: Callable[[Request, ServeSettings, bytes], ImageRequest],
    json_part: Callable[[bytes], bytes] | None = None,
) -> Response:
    async with service.receive(request, partial(read, request, service.settings), json_part) as parsed:
        model = service.models.get(parsed.options.model)
        if parsed.options.explain:
            raise RefusedError(422, "'explain' is answered by POST /predict alone")
        scored = await service.predict(request, model, parsed.images, parsed.options)
        rows = [_as_row(answer_image(service.metrics, model, image, parsed.options)) for image in scored]
        answer: ScoredRows = {"predictions": rows}
        return as_answer(answer)


def _as_row(entry: ImagePrediction) -> ScoredRow:
    """Convert an entry of ``POST /predict`` to the row that a model in MLflow's format returns for the same image."""
    scores = entry["scores"]
    return {
        "label": entry["label"],
        "probability": scores[0]["probability"] if scores else None,
        "labels": entry["labels"],
        "known": entry["known"],
        "probabilities": {score["label"]: score["probability"] for score in scores},
        "error": None if entry["error"] is None else entry["error"]["reason"],
    }


def _read_instances(request: Request, settings: ServeSettings, body: bytes) -> ImageRequest:
    """Read ``{"instances": [...]}`` or ``{"inputs": ...}``, with the options in ``params`` or ``parameters``."""
    parsed = _read_object(read_json_object(body), request.query_params, settings, ("instances", "inputs"))
    return replace(parsed, options=replace(parsed.options, model=request.path_params["name"]))


def _read_invocation(request: Request, settings: ServeSettings, body: bytes) -> ImageRequest:
    """Read a body of ``/invocations``: JSON as for MLflow's scoring server, CSV, an image's bytes or a form."""
    content_type, most = request.headers.get("content-type", RAW), settings.max_images
    kind, options = media_type(content_type), read_options(request.query_params, _ALL_CLASSES)
    if kind == "application/json":
        return _read_object(read_json_object(body), request.query_params, settings, _OBJECT_FORMATS)
    if kind == "text/csv":
        return ImageRequest(_read_rows(read_csv(body, most), settings), options)
    if kind == "multipart/form-data":
        return read_form(body, content_type, options, most)
    if is_file_type(content_type):
        return ImageRequest((RequestImage("image", body),), options)
    reason = "send application/json, text/csv, multipart/form-data, image/* or application/octet-stream"
    raise RefusedError(415, f"a body of another type; {reason}")


def _read_object(
    content: dict[str, object], query: Mapping[str, str], settings: ServeSettings, formats: tuple[str, ...]
) -> ImageRequest:
    keys = [name for name in formats if name in content]
    if len(keys) != 1:
        raise RefusedError(422, f"send exactly one of {', '.join(formats)} in the JSON")
    options = read_options(query, _ALL_CLASSES)
    for name in ("params", "parameters"):
        options = read_options(read_parameters(content, name), options)
    rows = content[keys[0]]
    if keys[0] == "dataframe_split":
        rows = read_data_frame(rows)
    elif keys[0] == "inputs":
        rows = read_inputs(rows)
    if not isinstance(rows, list):
        raise RefusedError(422, f"{keys[0]!r} is no list")
    return ImageRequest(_read_rows(rows, settings), options)


def _read_rows(rows: list[object], settings: ServeSettings) -> tuple[RequestImage, ...]:
    check_count(len(rows), settings.max_images)
    return tuple(_read_row(row, number_name(number), settings) for number, row in enumerate(rows, 1))


def _read_row(row: object, name: str, settings: ServeSettings, depth: int = 1) -> RequestImage:
    if isinstance(row, dict) and depth <= _DEEPEST and row:
        if BASE64 in row:
            return RequestImage(name, decode_base64(row[BASE64], f"{BASE64!r} of {name}"))
        return _read_row(list(row.values())[choose_column(list(row))], name, settings, depth + 1)
    if isinstance(row, list):
        return RequestImage(name, _read_pixels(row, name, settings.max_pixels))
    return RequestImage(name, decode_base64(row, name))


def _read_pixels(nested: list[object], name: str, max_pixels: int) -> np.ndarray:
    no_pixels = RefusedError(422, f"{name} holds no pixels; send them as [height][width][3], or the file in base64")
    shape = shape_of(nested)
    if len(shape) not in _PIXEL_DIMENSIONS or 0 in shape:
        raise no_pixels
    channels = shape[2] if len(shape) == len(("height", "width", "channels")) else 1
    if channels not in {1, 3}:
        raise RefusedError(422, f"{name} has {channels} channels; send 3, or 1 for gray images")
    check_pixels(shape[0], shape[1], max_pixels)
    try:
        values = read_nested(nested, {bool, int, float})
    except NestingError as error:
        raise RefusedError(422, f"{name} is nested unevenly; send pixels as [height][width][3]") from error
    except NotNumbersError as error:
        raise no_pixels from error
    return as_pixels(values.reshape(shape[0], shape[1], channels), name)
