"""The shapes of all answers: the routes write them, and the OpenAPI document describes them.

Where a key of the JSON is no word of the code's vocabulary, its shape is written as a call.
"""

from __future__ import annotations

from typing import Any, NotRequired

import orjson
from fastapi import Response
from typing_extensions import TypedDict


class ErrorDetail(TypedDict):
    """Why a request is refused."""

    status: int
    reason: str


class ErrorAnswer(TypedDict):
    """A refused request."""

    error: ErrorDetail


class ScoreAnswer(TypedDict):
    """One class of one image."""

    label: str
    probability: float
    threshold: float | None
    given: bool


NeighborFields = TypedDict(  # noqa: UP013 - keys of the JSON
    "NeighborFields", {"label": str, "distance": float, "picture": str | None}
)


class NeighborAnswer(NeighborFields):
    """A training image that is near in the model's features; `image` is a data: address."""


ExplanationFields = TypedDict(
    "ExplanationFields", {"class": str, "heat_map": str | None, "neighbours": list[NeighborAnswer]}
)


class Explanation(ExplanationFields):
    """What the probability of a class is based on; `heat_map` is a data: address of an overlay for the upload."""


NamedImage = TypedDict("NamedImage", {"picture": str})  # noqa: UP013 - a key of the JSON


class ImagePrediction(NamedImage):
    """The prediction of one image, or in `error` why there is none."""

    label: str | None
    labels: list[str]
    known: bool
    unlike_training: bool | None
    scores: list[ScoreAnswer]
    set: list[str] | None
    explanation: Explanation | None
    error: ErrorDetail | None


class ModelIdentity(TypedDict):
    """A model and its version."""

    name: str
    version: str


class PredictAnswer(TypedDict):
    """The answer of POST /predict."""

    model: ModelIdentity
    task: str
    predictions: list[ImagePrediction]


class LabelScore(TypedDict):
    """One class in the Hugging Face shape."""

    label: str
    score: float


class ScoredRow(TypedDict):
    """One image's row; `error` says why there is nothing else in it."""

    label: str | None
    probability: float | None
    labels: list[str]
    known: bool
    probabilities: dict[str, float]
    error: str | None


class ScoredRows(TypedDict):
    """The answer of KServe v1 and of POST /invocations."""

    predictions: list[ScoredRow]


class InputSize(TypedDict):
    """What images are resized to; a classic model has no size."""

    height: NotRequired[int]
    width: NotRequired[int]
    channels: int


class OptionLevels(TypedDict):
    """The lowest `abstain` and the highest `coverage` that a request may name for the model."""

    abstain_from: float | None
    coverage_to: float | None


class ModelEntry(TypedDict):
    """A model that is served."""

    name: str
    version: str
    task: str
    classes: list[str]
    thresholds: dict[str, float] | None
    explains: bool
    corrections: bool
    levels: OptionLevels
    input: InputSize


class ModelList(TypedDict):
    """The answer of GET /models."""

    models: list[ModelEntry]


class ModelNames(TypedDict):
    """The names of the models that are served."""

    models: list[str]


class ReloadAnswer(TypedDict):
    """The answer of POST /models/{name}/reload."""

    model: ModelIdentity
    changed: bool


class KeptAnswer(TypedDict):
    """The number under which a correction is stored."""

    id: int


class LiveAnswer(TypedDict):
    """The answer of GET /livez."""

    live: bool


class ReadyAnswer(TypedDict):
    """The answer of GET /readyz."""

    ready: bool


class OpenInferenceError(TypedDict):
    """A refused request under /v1 or /v2."""

    error: str


class OpenInferenceServer(TypedDict):
    """The server, in the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class OpenInferenceReady(TypedDict):
    """Whether a model is ready."""

    name: str
    ready: bool


class TensorDescription(TypedDict):
    """A tensor; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class Tensor(TensorDescription):
    """A tensor with its contents, flat or nested."""

    data: list[Any]


class BinaryTensor(TensorDescription):
    """A tensor whose contents follow the JSON; `parameters` holds the number of bytes as `binary_data_size`."""

    parameters: dict[str, int]


class OpenInferenceModel(TypedDict):
    """A model, in the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]
    parameters: dict[str, list[str]]


class OpenInferenceAnswer(TypedDict):
    """An answer to an inference request."""

    model_name: str
    model_version: str
    id: NotRequired[str]
    outputs: list[Tensor]


class ConfiguredTensor(TypedDict):
    """A tensor of a model's configuration; its dimensions leave the number of images out."""

    name: str
    data_type: str
    dims: list[int]


class OpenInferenceConfig(TypedDict):
    """A model's configuration: the part of Triton's ModelConfig that applies here."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    version_policy: dict[str, dict[str, int]]
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]
    dynamic_batching: dict[str, list[int]]
    parameters: dict[str, dict[str, str]]


class Duration(TypedDict):
    """How often something was done, and how long it took in all."""

    count: int
    ns: int


class BatchStatistics(TypedDict):
    """The batches of one size."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(TypedDict):
    """Counts and times of one model."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: dict[str, Duration]
    batch_stats: list[BatchStatistics]
    memory_usage: list[Any]


class OpenInferenceStatistics(TypedDict):
    """Counts and times of models, in the shape of Triton's."""

    model_stats: list[ModelStatistics]


class RepositoryModel(TypedDict):
    """A model in the repository's index."""

    name: str
    version: str
    state: str
    reason: str


class JsonAnswer(Response):
    """An answer of JSON bytes."""

    media_type = "application/json"


def as_answer(content: object, status: int = 200) -> JsonAnswer:
    """An answer that holds this content as JSON."""
    return JsonAnswer(orjson.dumps(content), status)
