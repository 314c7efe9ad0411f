"""The JSON shapes of all responses, as the routes return them and the OpenAPI document describes them.

Keys that differ from the names used in the code are declared with the functional `TypedDict` syntax.
"""

from __future__ import annotations

from typing import Any, NotRequired

import orjson
from fastapi import Response
from typing_extensions import TypedDict


class ErrorDetail(TypedDict):
    """The status code of a refused request or image, and the reason."""

    status: int
    reason: str


class ErrorAnswer(TypedDict):
    """The response to a refused request."""

    error: ErrorDetail


class ScoreAnswer(TypedDict):
    """The score of one class for one image; `given` is true if the label is predicted."""

    label: str
    probability: float
    threshold: float | None
    given: bool


NeighborFields = TypedDict(  # noqa: UP013 - keys of the JSON
    "NeighborFields", {"label": str, "distance": float, "image": str | None}
)


class NeighborAnswer(NeighborFields):
    """A training image close to the uploaded one in feature space; `image` is a ``data:`` URL."""


ExplanationFields = TypedDict(
    "ExplanationFields", {"class": str, "heat_map": str | None, "neighbors": list[NeighborAnswer]}
)


class Explanation(ExplanationFields):
    """The explanation of a class's probability; `heat_map` is a ``data:`` URL of an overlay for the upload."""


NamedImage = TypedDict("NamedImage", {"image": str})  # noqa: UP013 - a key of the JSON


class ImagePrediction(NamedImage):
    """The prediction for one image; `error` gives the reason if there is none."""

    label: str | None
    labels: list[str]
    known: bool
    unlike_training: bool | None
    scores: list[ScoreAnswer]
    set: list[str] | None
    explanation: Explanation | None
    error: ErrorDetail | None


class ModelIdentity(TypedDict):
    """The name and version of a model."""

    name: str
    version: str


class PredictAnswer(TypedDict):
    """The response of POST /predict."""

    model: ModelIdentity
    task: str
    predictions: list[ImagePrediction]


class LabelScore(TypedDict):
    """The probability of one class, in Hugging Face's shape."""

    label: str
    score: float


class ScoredRow(TypedDict):
    """The row of one image; if it could not be scored, `error` gives the reason and the other values are empty."""

    label: str | None
    probability: float | None
    labels: list[str]
    known: bool
    probabilities: dict[str, float]
    error: str | None


class ScoredRows(TypedDict):
    """The response of KServe v1 and of POST /invocations."""

    predictions: list[ScoredRow]


class InputSize(TypedDict):
    """The size that images are resized to; classic models have no fixed height and width."""

    height: NotRequired[int]
    width: NotRequired[int]
    channels: int


class OptionLevels(TypedDict):
    """The lowest `abstain` and the highest `coverage` that requests to the model may use."""

    abstain_from: float | None
    coverage_to: float | None


class ModelEntry(TypedDict):
    """One served model."""

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
    """The response of GET /models."""

    models: list[ModelEntry]


class ModelNames(TypedDict):
    """The names of all served models."""

    models: list[str]


class ReloadAnswer(TypedDict):
    """The response of POST /models/{name}/reload."""

    model: ModelIdentity
    changed: bool


class StoredAnswer(TypedDict):
    """The ID of a stored correction."""

    id: int


class LiveAnswer(TypedDict):
    """The response of GET /livez."""

    live: bool


class ReadyAnswer(TypedDict):
    """The response of GET /readyz."""

    ready: bool


class OpenInferenceError(TypedDict):
    """The response to a refused request under /v1 or /v2."""

    error: str


class OpenInferenceServer(TypedDict):
    """The server's metadata, in the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class OpenInferenceReady(TypedDict):
    """Whether a model is ready."""

    name: str
    ready: bool


class TensorDescription(TypedDict):
    """A tensor's name, datatype and shape; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class Tensor(TensorDescription):
    """A tensor with its contents as a flat or nested list."""

    data: list[Any]


class BinaryTensor(TensorDescription):
    """A tensor whose contents follow the JSON; `parameters` contains their length in bytes, `binary_data_size`."""

    parameters: dict[str, int]


class OpenInferenceModel(TypedDict):
    """A model's metadata, in the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]
    parameters: dict[str, list[str]]


class OpenInferenceAnswer(TypedDict):
    """The response to an inference request."""

    model_name: str
    model_version: str
    id: NotRequired[str]
    outputs: list[Tensor]


class ConfiguredTensor(TypedDict):
    """A tensor of a model's configuration; its dimensions exclude the batch dimension."""

    name: str
    data_type: str
    dims: list[int]


class OpenInferenceConfig(TypedDict):
    """A model's configuration: the fields of Triton's ModelConfig that apply here."""

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
    """How often something was done, and the total time in nanoseconds."""

    count: int
    ns: int


class BatchStatistics(TypedDict):
    """Counts and times of the batches of one size."""

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
    """Counts and times of models, in the shape of Triton's statistics extension."""

    model_stats: list[ModelStatistics]


class RepositoryModel(TypedDict):
    """A model in the index of Triton's model repository extension."""

    name: str
    version: str
    state: str
    reason: str


class JsonAnswer(Response):
    """A response whose content is already encoded as JSON."""

    media_type = "application/json"


def as_answer(content: object, status: int = 200) -> JsonAnswer:
    """Encode content as a JSON response."""
    return JsonAnswer(orjson.dumps(content), status)
