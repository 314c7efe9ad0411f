"""Descriptions of the routes for the OpenAPI document; for speed the routes validate requests themselves."""

from __future__ import annotations

from typing import Any, TypeAlias

from distingo.serving.answers import (
    ErrorAnswer,
    LabelScore,
    LiveAnswer,
    ModelList,
    ModelNames,
    OpenInferenceAnswer,
    OpenInferenceConfig,
    OpenInferenceError,
    OpenInferenceModel,
    OpenInferenceReady,
    OpenInferenceServer,
    OpenInferenceStatistics,
    PredictAnswer,
    ReadyAnswer,
    ReloadAnswer,
    RepositoryModel,
    ScoredRows,
    StoredAnswer,
)
from distingo.serving.requests import MOST_LABELS
from distingo.serving.tensors import NUMBERS

LONGEST_LABEL = 200
"""Largest number of characters of a label in a correction."""

_Schema: TypeAlias = dict[str, Any]

_MEANINGS = {
    400: "The body is damaged or no valid JSON",
    401: "No key, or one that is not known",
    403: "Not allowed",
    404: "No such model or version",
    408: "The body came too slowly",
    409: "The run folder holds no whole model",
    413: "Too many bytes, pixels or images",
    415: "No accepted type of body or image",
    422: "An image or option that can't be used",
    429: "More requests than are allowed",
    503: "The queue is full; Retry-After says when to try again",
}
_TAKING = (400, 401, 403, 404, 408, 413, 415, 422, 429, 503)


def _responses(model: Any, statuses: tuple[int, ...] = (401, 429), error: Any = ErrorAnswer) -> dict[int, Any]:
    refusals = {status: {"model": error, "description": _MEANINGS[status]} for status in statuses}
    return {200: {"model": model}, **refusals}


def _route(name: str, summary: str, responses: dict[int, Any], **extra: Any) -> _Schema:
    return {"operation_id": name, "summary": summary, "responses": responses, "openapi_extra": extra or None}


def _parameter(name: str, schema: _Schema, description: str, kind: str = "query") -> _Schema:
    return {"name": name, "in": kind, "required": kind == "path", "description": description, "schema": schema}


def _object(required: tuple[str, ...] = (), /, **properties: _Schema) -> _Schema:
    return {"type": "object", **({"required": list(required)} if required else {}), "properties": properties}


def _array(items: _Schema, **limits: Any) -> _Schema:
    return {"type": "array", **limits, "items": items}


def _body(**types: _Schema) -> _Schema:
    """Describe a request body by schemas for the keys ``json``, ``form`` and ``binary``."""
    content = {_MEDIA_TYPES[kind]: {"schema": schema} for kind, schema in types.items()}
    return {"required": True, "content": content}


_MEDIA_TYPES = {"form": "multipart/form-data", "json": "application/json", "binary": "application/octet-stream"}
_TEXT = {"type": "string"}
_FILE = {"type": "string", "format": "binary"}
_BASE64 = {"type": "string", "format": "byte", "description": "The image's file in base64"}
_ANY_OBJECT = {"type": "object"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_COUNT = {"type": "integer", "minimum": 1, "maximum": MOST_LABELS}
_OPTIONS: dict[str, tuple[_Schema, str]] = {
    "model": (_TEXT, "The model's name; needed where several are served"),
    "top_k": ({**_COUNT, "default": 5}, "So many classes are listed"),
    "threshold": (_SHARE, "Decision threshold of every label, instead of the model's own"),
    "explain": ({"type": "boolean", "default": False}, "Explain the first label"),
    "abstain": (_SHARE, "Answer only where at most this share of answers is wrong"),
    "coverage": (_SHARE, "Give the set of labels that holds this share of the true ones"),
}
_NAME = _parameter("name", _TEXT, "The model's name", "path")
_VERSION = _parameter("version", _TEXT, "The model's version", "path")
# without defaults: generated clients would send them and so override options in the query string
_OPTION_SCHEMAS = {
    name: {key: value for key, value in schema.items() if key != "default"} for name, (schema, _) in _OPTIONS.items()
}
_IMAGES = _array(_object(("data",), name=_TEXT, data=_BASE64), minItems=1)
_FILES = _array(_FILE, minItems=1)
PREDICT = _route(
    "predict",
    "Predict what images show",
    _responses(PredictAnswer, _TAKING),
    parameters=[_parameter(name, schema, description) for name, (schema, description) in _OPTIONS.items()],
    requestBody=_body(
        form=_object(("images",), **{"images": _FILES}, **_OPTION_SCHEMAS),
        json=_object(("images",), **{"images": _IMAGES}, **_OPTION_SCHEMAS),
        binary=_FILE,
    ),
)
CLASSIFY = _route(
    "classify_image",
    "Predict what an image shows, in the shape of Hugging Face's image classification",
    _responses(list[LabelScore], _TAKING),
    parameters=[_NAME, _parameter("top_k", *_OPTIONS["top_k"])],
    requestBody=_body(json=_object(("inputs",), inputs=_BASE64, parameters=_object(top_k=_COUNT)), binary=_FILE),
)
V1_MODELS = _route("v1_models", "List the models' names", _responses(ModelNames, (401, 429), OpenInferenceError))
V1_READY = _route(
    "v1_model_ready",
    "Whether a model is ready",
    _responses(OpenInferenceReady, (401, 404, 429), OpenInferenceError),
    parameters=[_NAME],
)
_INSTANCES = {
    **_array({}, minItems=1),
    "description": 'Images: {"b64": base64}, an object that holds that, base64 itself, or pixels as nested lists',
}
V1_PREDICT = _route(
    "v1_predict",
    "Predict what images show, in KServe's and TensorFlow Serving's protocol of version 1",
    _responses(ScoredRows, _TAKING, OpenInferenceError),
    parameters=[_NAME],
    requestBody=_body(json=_object(("instances",), instances=_INSTANCES, parameters=_ANY_OBJECT)),
)
INVOCATIONS = _route(
    "invocations",
    "Predict what images show, as MLflow's scoring server and SageMaker's containers do",
    _responses(ScoredRows, _TAKING),
    parameters=[_parameter(name, schema, text) for name, (schema, text) in _OPTIONS.items() if name != "explain"],
    requestBody=_body(
        json=_object(
            instances=_INSTANCES,
            inputs={},
            dataframe_split=_ANY_OBJECT,
            dataframe_records=_array(_ANY_OBJECT),
            params=_ANY_OBJECT,
        ),
        binary=_FILE,
    ),
)
PING: _Schema = {
    "operation_id": "ping",
    "summary": "Whether the server is ready; for MLflow's clients and SageMaker",
    "responses": {200: {"content": {"application/json": {"schema": {}}}, "description": "It is"}},
}
_CORRECTION = _object(
    ("image",),
    image=_FILE,
    model={**_TEXT, "description": "Needed where several models are served"},
    labels={
        **_array({**_TEXT, "minLength": 1, "maxLength": LONGEST_LABEL}),
        "description": "The right class; with several labels per image any number, perhaps none",
    },
    predicted={**_TEXT, "description": "The model's prediction, as JSON"},
)
_CORRECTION_MEANINGS = {
    400: "The form is damaged",
    403: "The owner of this server stores no corrections, or no more",
    404: "No such model",
    413: "Too many bytes or pixels",
    415: "No form, or no accepted type of image",
    422: "An image, label or prediction that can't be used",
    503: "It can't be stored now; try again soon",
}
CORRECT: _Schema = {
    "operation_id": "correct",
    "summary": "Store what an image really shows",
    "status_code": 201,
    "responses": {
        201: {"model": StoredAnswer, "description": "It is stored"},
        **{
            status: {"model": ErrorAnswer, "description": _CORRECTION_MEANINGS.get(status, _MEANINGS[status])}
            for status in _TAKING
        },
    },
    "openapi_extra": {"requestBody": _body(form=_CORRECTION)},
}
MODELS = _route("list_models", "List the models that are served", _responses(ModelList))
RELOAD = _route(
    "reload_model",
    "Serve what is in the run folder now",
    _responses(ReloadAnswer, (401, 403, 404, 409, 429)),
    parameters=[_NAME],
)
LIVE = _route("is_live", "Whether the server is alive", _responses(LiveAnswer, ()))
READY = _route("is_ready", "Whether the server is ready", _responses(ReadyAnswer, ()))
METRICS: _Schema = {
    "operation_id": "metrics",
    "summary": "Counts in Prometheus's text format",
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The counts"}},
}
V2_SERVER = _route("v2_server", "The server", _responses(OpenInferenceServer, (401, 429), OpenInferenceError))
V2_LIVE = _route("v2_live", "Whether the server is alive", _responses(LiveAnswer, ()))
V2_READY = _route("v2_ready", "Whether all models are ready", _responses(ReadyAnswer, ()))
V2_STATISTICS = _route(
    "v2_statistics",
    "How often and how long each model was called",
    _responses(OpenInferenceStatistics, (401, 429), OpenInferenceError),
)
V2_INDEX = _route(
    "v2_repository_index",
    "List the models that are served",
    _responses(list[RepositoryModel], (401, 429), OpenInferenceError),
)
V2_LOAD = _route(
    "v2_repository_load",
    "Serve what is in the run folder now",
    _responses(_Schema, (401, 404, 409, 422, 429), OpenInferenceError),
    parameters=[_NAME],
)
V2_UNLOAD = _route(
    "v2_repository_unload",
    "Refused: models are served until the server ends",
    _responses(_Schema, (401, 404, 409, 429), OpenInferenceError),
    parameters=[_NAME],
)
_V2_OF_A_MODEL: dict[str, tuple[Any, str]] = {
    "metadata": (OpenInferenceModel, "A model"),
    "ready": (OpenInferenceReady, "Whether a model is ready"),
    "config": (OpenInferenceConfig, "A model's configuration, in the shape of Triton's"),
    "stats": (OpenInferenceStatistics, "How often and how long a model was called"),
}
_INPUT = _object(
    ("name", "shape", "datatype"),
    name=_TEXT,
    shape=_array({"type": "integer", "minimum": 0}),
    datatype={**_TEXT, "enum": ["BYTES", *NUMBERS, "BF16"]},
    parameters=_ANY_OBJECT,
    data=_array({}),
)
_INFERENCE = _object(
    ("inputs",),
    id=_TEXT,
    parameters=_ANY_OBJECT,
    inputs=_array(_INPUT, minItems=1, maxItems=1),
    outputs=_array(_object(("name",), name=_TEXT, parameters=_ANY_OBJECT)),
)


def open_inference(kind: str, *, versioned: bool) -> _Schema:
    """Describe a route of the Open Inference Protocol.

    Args:
        kind: ``metadata``, ``ready``, ``config``, ``stats`` or ``infer``.
        versioned: Whether the path contains a version.
    """
    identity = [_NAME, _VERSION] if versioned else [_NAME]
    name = f"v2_model_{kind}{'_version' if versioned else ''}"
    if kind in _V2_OF_A_MODEL:
        answer, summary = _V2_OF_A_MODEL[kind]
        return _route(name, summary, _responses(answer, (401, 404, 429), OpenInferenceError), parameters=identity)
    responses = _responses(OpenInferenceAnswer, _TAKING, OpenInferenceError)
    return _route(name, "Score a tensor of images", responses, parameters=identity, requestBody=_body(json=_INFERENCE))
