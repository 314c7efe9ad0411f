"""The routes ``POST /predict`` and, in the format of Hugging Face, ``POST /models/{name}``, which predict images."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np
from fastapi import FastAPI, Request, Response

from distingo.prediction.naming import ModelOutput
from distingo.records import Prediction
from distingo.serving import documentation
from distingo.serving.answers import ErrorDetail, ImagePrediction, LabelScore, ModelIdentity, PredictAnswer, as_answer
from distingo.serving.http.bodies import media_type
from distingo.serving.http.errors import RefusedError
from distingo.serving.images import RequestImage
from distingo.serving.metrics import Metrics
from distingo.serving.requests import (
    RAW,
    ImageRequest,
    RequestOptions,
    decode_base64,
    is_file_type,
    read_form,
    read_json,
    read_json_object,
    read_options,
    read_parameters,
)
from distingo.serving.served_models import ServedModel
from distingo.serving.service import MOST_EXPLAINED, Service

PREDICT_PATH = "/predict"


def add_predict_routes(app: FastAPI, service: Service) -> Callable[[Request], Awaitable[Response]]:
    """Add the routes that predict.

    Returns:
        The handler of ``POST /predict``, for `distingo.serving.http.guard.DirectRoute`.
    """
    most = service.settings.max_pictures

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


async def _predict(service: Service, request: Request, model: ServedModel, asked: ImageRequest) -> PredictAnswer:
    options = asked.options
    if options.explain and len(asked.images) > MOST_EXPLAINED:
        reason = f"explain with {len(asked.images)} images; at most {MOST_EXPLAINED} are explained at once"
        raise RefusedError(422, reason)
    entries = []
    for image in await service.predict(request, model, asked.images, options):
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
        return ImageRequest((RequestImage(request.query_params.get("name", "picture")[:255], body),), options)
    raise RefusedError(
        415, "a body of another type; send multipart/form-data, application/json, image/* or application/octet-stream"
    )


def _read_inputs(request: Request, body: bytes) -> ImageRequest:
    """Read a body in the format of Hugging Face: the image itself, or JSON with ``inputs`` and ``parameters``."""
    options = read_options(request.query_params)
    content_type = request.headers.get("content-type", RAW)
    if is_file_type(content_type):
        return ImageRequest((RequestImage("picture", body),), options)
    if media_type(content_type) != "application/json":
        raise RefusedError(415, "a body of another type; send application/json, image/* or application/octet-stream")
    content = read_json_object(body)
    parameters = read_parameters(content)
    if parameters.get("function_to_apply") not in (None, "softmax", "sigmoid"):
        raise RefusedError(422, "'function_to_apply' is not known; probabilities are always calibrated ones")
    options = read_options({"top_k": parameters.get("top_k")}, options)
    return ImageRequest((RequestImage("picture", decode_base64(content.get("inputs"), "'inputs'")),), options)


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
        metrics.unlike.labels(*version).inc()
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
        is_sure = not prediction.abstained and prediction.confidence >= (options.threshold or 0.0)
        return [prediction.label] if is_sure else []
    if options.threshold is None:
        return list(prediction.given or ())
    lowest = max(options.threshold, model.certainty(options.abstain, options.coverage).answer_from or 0.0)
    order = np.argsort(-probabilities, kind="stable").tolist()
    return [model.predictor.classes[index] for index in order if float(probabilities[index]) >= lowest]


def _entry(image: RequestImage, error: ErrorDetail | None = None) -> ImagePrediction:
    return {
        "picture": image.name,
        "label": None,
        "labels": [],
        "known": False,
        "unlike_training": None,
        "scores": [],
        "set": None,
        "explanation": None,
        "error": error,
    }
