"""The OpenAPI document's words about the routes; the routes themselves check what comes without them, for speed."""

from __future__ import annotations

from typing import Any

from distingo.serving.open_inference_tensors import NUMBERS
from distingo.serving.schemas import (
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
)

_MEANINGS = {
    400: "The body is damaged or no valid JSON",
    401: "No key, or one that is not known",
    403: "Not allowed",
    404: "No such model or version",
    408: "The body came too slowly",
    409: "The run folder holds no whole model",
    413: "Too many bytes, pixels or pictures",
    415: "No accepted type of body or picture",
    422: "A picture or wish that can't be used",
    429: "More requests than are allowed",
    503: "The queue is full; Retry-After says when to try again",
}
_TAKING = (400, 401, 403, 404, 408, 413, 415, 422, 429, 503)


def _responses(model: Any, statuses: tuple[int, ...] = (401, 429), error: Any = ErrorAnswer) -> dict[int, Any]:
    refused = {status: {"model": error, "description": _MEANINGS[status]} for status in statuses}
    return {200: {"model": model}, **refused}


def _route(name: str, summary: str, responses: dict[int, Any], **extra: Any) -> dict[str, Any]:
    return {"operation_id": name, "summary": summary, "responses": responses, "openapi_extra": extra or None}


def _parameter(name: str, schema: dict[str, Any], description: str, place: str = "query") -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "description": description, "schema": schema}


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_WISHES: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"type": "string"}, "The model's name; needed where several are served"),
    "top_k": ({"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 5}, "So many classes are listed"),
    "threshold": (_SHARE, "The probability from which a label is given, instead of the model's own"),
    "explain": ({"type": "boolean", "default": False}, "Show what speaks for the first label"),
    "abstain": (_SHARE, "Answer only where at most this share of answers is wrong"),
    "coverage": (_SHARE, "Give the set of labels that holds this share of the true ones"),
}
_NAME = _parameter("name", {"type": "string"}, "The model's name", "path")
_VERSION = _parameter("version", {"type": "string"}, "The model's version", "path")
# without defaults, which generated clients would send and so override the address
_WISH_SCHEMAS = {
    name: {key: value for key, value in schema.items() if key != "default"} for name, (schema, _) in _WISHES.items()
}
_PICTURES_JSON = {
    "type": "object",
    "required": ["pictures"],
    "properties": {
        "pictures": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "name": {"type": "string"},
                    "data": {"type": "string", "format": "byte", "description": "The picture's file in base64"},
                },
            },
        },
        **_WISH_SCHEMAS,
    },
}
_FORM = {
    "type": "object",
    "required": ["pictures"],
    "properties": {
        "pictures": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
        **_WISH_SCHEMAS,
    },
}
PREDICT = _route(
    "predict",
    "Name what pictures show",
    _responses(PredictAnswer, _TAKING),
    parameters=[_parameter(name, schema, description) for name, (schema, description) in _WISHES.items()],
    requestBody={
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/json": {"schema": _PICTURES_JSON},
            "application/octet-stream": _BINARY,
        },
    },
)
CLASSIFY = _route(
    "classify_image",
    "Name what a picture shows, in the shape of Hugging Face's image classification",
    _responses(list[LabelScore], _TAKING),
    parameters=[_NAME, _parameter("top_k", *_WISHES["top_k"])],
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "inputs": {"type": "string", "format": "byte", "description": "The picture's file in base64"},
                        "parameters": {
                            "type": "object",
                            "properties": {"top_k": {"type": "integer", "minimum": 1, "maximum": 1_000_000}},
                        },
                    },
                }
            },
            "application/octet-stream": _BINARY,
        },
    },
)
V1_MODELS = _route("v1_models", "List the models' names", _responses(ModelNames, (401, 429), OpenInferenceError))
V1_READY = _route(
    "v1_model_ready",
    "Whether a model is ready",
    _responses(OpenInferenceReady, (401, 404, 429), OpenInferenceError),
    parameters=[_NAME],
)
_INSTANCES: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "description": 'Images: {"b64": base64}, an object that holds that, base64 itself, or pixels as nested lists',
    "items": {},
}
V1_PREDICT = _route(
    "v1_predict",
    "Name what pictures show, in KServe's and TensorFlow Serving's protocol of version 1",
    _responses(ScoredRows, _TAKING, OpenInferenceError),
    parameters=[_NAME],
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["instances"],
                    "properties": {"instances": _INSTANCES, "parameters": {"type": "object"}},
                }
            }
        },
    },
)
INVOCATIONS = _route(
    "invocations",
    "Name what pictures show, as MLflow's scoring server and SageMaker's containers are asked",
    _responses(ScoredRows, _TAKING),
    parameters=[_parameter(name, schema, words) for name, (schema, words) in _WISHES.items() if name != "explain"],
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "instances": _INSTANCES,
                        "inputs": {},
                        "dataframe_split": {"type": "object"},
                        "dataframe_records": {"type": "array", "items": {"type": "object"}},
                        "params": {"type": "object"},
                    },
                }
            },
            "application/octet-stream": _BINARY,
        },
    },
)
PING: dict[str, Any] = {
    "operation_id": "ping",
    "summary": "Whether the server can be asked; for MLflow's clients and SageMaker",
    "responses": {200: {"content": {"application/json": {"schema": {}}}, "description": "It can"}},
}
MODELS = _route("list_models", "List the models that are served", _responses(ModelList))
RELOAD = _route(
    "reload_model",
    "Serve what is in the run folder now",
    _responses(ReloadAnswer, (401, 403, 404, 409, 429)),
    parameters=[_NAME],
)
LIVE = _route("is_live", "Whether the server is alive", _responses(LiveAnswer, ()))
READY = _route("is_ready", "Whether the server can be asked", _responses(ReadyAnswer, ()))
METRICS: dict[str, Any] = {
    "operation_id": "metrics",
    "summary": "Counts in Prometheus's text format",
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The counts"}},
}
V2_SERVER = _route("v2_server", "The server", _responses(OpenInferenceServer, (401, 429), OpenInferenceError))
V2_LIVE = _route("v2_live", "Whether the server is alive", _responses(LiveAnswer, ()))
V2_READY = _route("v2_ready", "Whether all models are ready", _responses(ReadyAnswer, ()))
V2_STATISTICS = _route(
    "v2_statistics",
    "How often and how long each model was asked",
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
    _responses(dict[str, Any], (401, 404, 409, 422, 429), OpenInferenceError),
    parameters=[_NAME],
)
V2_UNLOAD = _route(
    "v2_repository_unload",
    "Refused: models are served until the server ends",
    _responses(dict[str, Any], (401, 404, 409, 429), OpenInferenceError),
    parameters=[_NAME],
)
_V2_OF_A_MODEL: dict[str, tuple[Any, str]] = {
    "metadata": (OpenInferenceModel, "A model"),
    "ready": (OpenInferenceReady, "Whether a model is ready"),
    "config": (OpenInferenceConfig, "A model's configuration, in the shape of Triton's"),
    "stats": (OpenInferenceStatistics, "How often and how long a model was asked"),
}


def open_inference(kind: str, *, versioned: bool) -> dict[str, Any]:
    """Words about a route of the Open Inference Protocol.

    Args:
        kind: ``metadata``, ``ready``, ``config``, ``stats`` or ``infer``.
        versioned: Whether the address names a version.
    """
    named = [_NAME, _VERSION] if versioned else [_NAME]
    name = f"v2_model_{kind}{'_version' if versioned else ''}"
    if kind in _V2_OF_A_MODEL:
        answer, summary = _V2_OF_A_MODEL[kind]
        return _route(name, summary, _responses(answer, (401, 404, 429), OpenInferenceError), parameters=named)
    answers = _responses(OpenInferenceAnswer, _TAKING, OpenInferenceError)
    body = {"required": True, "content": {"application/json": {"schema": _INFERENCE}}}
    return _route(name, "Judge a tensor of pictures", answers, parameters=named, requestBody=body)


_INFERENCE = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": {"type": "string"},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                    "datatype": {"type": "string", "enum": ["BYTES", *NUMBERS, "BF16"]},
                    "parameters": {"type": "object"},
                    "data": {"type": "array", "items": {}},
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
            },
        },
    },
}
