"""What the OpenAPI document says of the routes, which check requests themselves, for speed."""

from __future__ import annotations

from typing import Any, TypeAlias

from distingo.serving.answers import (
    ErrorAnswer,
    KeptAnswer,
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
from distingo.serving.requests import MOST_LABELS
from distingo.serving.tensors import NUMBERS

LONGEST_LABEL = 200
"""Characters of a label in a correction."""

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
    refused = {status: {"model": error, "description": _MEANINGS[status]} for status in statuses}
    return {200: {"model": model}, **refused}


def _route(name: str, summary: str, responses: dict[int, Any], **extra: Any) -> _Schema:
    return {"operation_id": name, "summary": summary, "responses": responses, "openapi_extra": extra or None}


def _parameter(name: str, schema: _Schema, description: str, place: str = "query") -> _Schema:
    return {"name": name, "in": place, "required": place == "path", "description": description, "schema": schema}


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_OPTIONS: dict[str, tuple[_Schema, str]] = {
    "model": ({"type": "string"}, "The model's name; needed where several are served"),
    "top_k": ({"type": "integer", "minimum": 1, "maximum": MOST_LABELS, "default": 5}, "So many classes are listed"),
    "threshold": (_SHARE, "Decision threshold of every label, instead of the model's own"),
    "explain": ({"type": "boolean", "default": False}, "Explain the first label"),
    "abstain": (_SHARE, "Answer only where at most this share of answers is wrong"),
    "coverage": (_SHARE, "Give the set of labels that holds this share of the true ones"),
}
_NAME = _parameter("name", {"type": "string"}, "The model's name", "path")
_VERSION = _parameter("version", {"type": "string"}, "The model's version", "path")
# without defaults, which generated clients would send and so override the address
_OPTION_SCHEMAS = {
    name: {key: value for key, value in schema.items() if key != "default"} for name, (schema, _) in _OPTIONS.items()
}
_IMAGES_JSON = {
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
                    "data": {"type": "string", "format": "byte", "description": "The image's file in base64"},
                },
            },
        },
        **_OPTION_SCHEMAS,
    },
}
_FORM = {
    "type": "object",
    "required": ["pictures"],
    "properties": {
        "pictures": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
        **_OPTION_SCHEMAS,
    },
}
PREDICT = _route(
    "predict",
    "Predict what images show",
    _responses(PredictAnswer, _TAKING),
    parameters=[_parameter(name, schema, description) for name, (schema, description) in _OPTIONS.items()],
    requestBody={
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/json": {"schema": _IMAGES_JSON},
            "application/octet-stream": _BINARY,
        },
    },
)
CLASSIFY = _route(
    "classify_image",
    "Predict what an image shows, in the shape of Hugging Face's image classification",
    _responses(list[LabelScore], _TAKING),
    parameters=[_NAME, _parameter("top_k", *_OPTIONS["top_k"])],
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "inputs": {"type": "string", "format": "byte", "description": "The image's file in base64"},
                        "parameters": {
                            "type": "object",
                            "properties": {"top_k": {"type": "integer", "minimum": 1, "maximum": MOST_LABELS}},
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
_INSTANCES: _Schema = {
    "type": "array",
    "minItems": 1,
    "description": 'Images: {"b64": base64}, an object that holds that, base64 itself, or pixels as nested lists',
    "items": {},
}
V1_PREDICT = _route(
    "v1_predict",
    "Predict what images show, in KServe's and TensorFlow Serving's protocol of version 1",
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
    "Predict what images show, as MLflow's scoring server and SageMaker's containers do",
    _responses(ScoredRows, _TAKING),
    parameters=[_parameter(name, schema, words) for name, (schema, words) in _OPTIONS.items() if name != "explain"],
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
PING: _Schema = {
    "operation_id": "ping",
    "summary": "Whether the server is ready; for MLflow's clients and SageMaker",
    "responses": {200: {"content": {"application/json": {"schema": {}}}, "description": "It is"}},
}
_CORRECTION = {
    "type": "object",
    "required": ["picture"],
    "properties": {
        "picture": {"type": "string", "format": "binary"},
        "model": {"type": "string", "description": "Needed where several models are served"},
        "labels": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_LABEL},
            "description": "The right class; with several labels per image any number, perhaps none",
        },
        "predicted": {"type": "string", "description": "The model's prediction, as JSON"},
    },
}
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
        201: {"model": KeptAnswer, "description": "It is stored"},
        **{
            status: {"model": ErrorAnswer, "description": _CORRECTION_MEANINGS.get(status, _MEANINGS[status])}
            for status in _TAKING
        },
    },
    "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _CORRECTION}}}},
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


def open_inference(kind: str, *, versioned: bool) -> _Schema:
    """Describe a route of the Open Inference Protocol.

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
    return _route(name, "Score a tensor of images", answers, parameters=named, requestBody=body)


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
