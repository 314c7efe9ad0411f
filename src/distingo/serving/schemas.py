"""The shapes of answers, for the OpenAPI document; the routes write them without these classes, for speed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """Why a request is refused."""

    status: int
    reason: str


class ErrorAnswer(BaseModel):
    """A refused request."""

    error: ErrorDetail


class Score(BaseModel):
    """One class of one picture."""

    label: str
    probability: float
    threshold: float | None
    given: bool


class Neighbour(BaseModel):
    """A training picture that is near in the model's features; `picture` is a data: address."""

    label: str
    distance: float
    picture: str | None


class Explanation(BaseModel):
    """What speaks for a class; `heat_map` is a data: address of a see-through picture to lie over the upload."""

    class_: str
    heat_map: str | None
    neighbours: list[Neighbour]

    model_config = {"json_schema_extra": lambda schema: _rename(schema, "class_", "class")}


class PicturePrediction(BaseModel):
    """What the model says about one picture, or in `error` why it could not be judged."""

    picture: str
    label: str | None
    labels: list[str]
    known: bool
    unlike_training: bool | None
    scores: list[Score]
    set: list[str] | None
    explanation: Explanation | None
    error: ErrorDetail | None


class ModelIdentity(BaseModel):
    """A model and its version."""

    name: str
    version: str


class PredictAnswer(BaseModel):
    """The answer of POST /predict."""

    model: ModelIdentity
    task: str
    predictions: list[PicturePrediction]


class LabelScore(BaseModel):
    """One class in the Hugging Face shape."""

    label: str
    score: float


class InputSize(BaseModel):
    """What pictures are resized to; a classic model has no size."""

    height: int | None = None
    width: int | None = None
    channels: int


class WishLevels(BaseModel):
    """The lowest `abstain` and the highest `coverage` that the model can be asked for."""

    abstain_from: float | None
    coverage_to: float | None


class ModelEntry(BaseModel):
    """A model that is served."""

    name: str
    version: str
    task: str
    classes: list[str]
    thresholds: dict[str, float] | None
    explains: bool
    corrections: bool
    levels: WishLevels
    input: InputSize


class ModelList(BaseModel):
    """The answer of GET /models."""

    models: list[ModelEntry]


class ReloadAnswer(BaseModel):
    """The answer of POST /models/{name}/reload."""

    model: ModelIdentity
    changed: bool


class LiveAnswer(BaseModel):
    """The answer of GET /livez."""

    live: bool


class ReadyAnswer(BaseModel):
    """The answer of GET /readyz."""

    ready: bool


class OpenInferenceError(BaseModel):
    """A refused request under /v2."""

    error: str


class OpenInferenceServer(BaseModel):
    """The server, in the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorDescription(BaseModel):
    """A tensor; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class OpenInferenceModel(BaseModel):
    """A model, in the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]
    parameters: dict[str, Any]


class OpenInferenceReady(BaseModel):
    """Whether a model is ready."""

    name: str
    ready: bool


class Tensor(TensorDescription):
    """A tensor with its contents, flat or nested."""

    data: list[Any]


class OpenInferenceAnswer(BaseModel):
    """An answer to an inference request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Tensor]


class OpenInferenceConfig(BaseModel):
    """A model's configuration: the part of Triton's ModelConfig that says something here."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    version_policy: dict[str, Any]
    input: list[dict[str, Any]]
    output: list[dict[str, Any]]
    dynamic_batching: dict[str, Any]
    parameters: dict[str, Any]


class OpenInferenceStatistics(BaseModel):
    """Counts and times of models, in the shape of Triton's."""

    model_stats: list[dict[str, Any]]


class RepositoryModel(BaseModel):
    """A model in the repository's index."""

    name: str
    version: str
    state: str
    reason: str


class ScoredRow(BaseModel):
    """One image's row; `error` says why there is nothing else in it."""

    label: str | None
    probability: float | None
    labels: list[str]
    known: bool
    probabilities: dict[str, float]
    error: str | None


class ScoredRows(BaseModel):
    """The answer of KServe v1 and of POST /invocations."""

    predictions: list[ScoredRow]


class ModelNames(BaseModel):
    """The names of the models that are served."""

    models: list[str]


def _rename(schema: dict[str, Any], old: str, new: str) -> None:
    schema["properties"] = {new if name == old else name: value for name, value in schema["properties"].items()}
    schema["properties"][new]["title"] = new.capitalize()
    schema["required"] = [new if name == old else name for name in schema["required"]]
