"""Verdicts as the JSON that clients get.

What speaks for a label in an uploaded picture, and the nearest training pictures, as ``data:`` addresses.
"""

from __future__ import annotations

import base64
import copy
import io
import threading
from collections import OrderedDict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Response
from PIL import Image

from distingo.models.descriptors import DescriptorClassifier
from distingo.prediction.naming import Judged
from distingo.prediction.predictor import Predictor
from distingo.records import Prediction
from distingo.serving.asking import Wishes
from distingo.serving.metrics import Metrics
from distingo.serving.refused import RefusedError
from distingo.serving.served import ServedModel

if TYPE_CHECKING:
    from distingo.explanation.records import Neighbour
    from distingo.serving.served import ServedModel


NEIGHBOURS = 6

_MODELS_KEPT = 4


def can_explain(predictor: Predictor) -> bool:
    """Whether the model looks at pictures at all."""
    model = predictor.model
    return model.network is not None or isinstance(model.classic, DescriptorClassifier)


class Explainer:
    """Explains with copies of the served networks: hooks and gradients must not meet requests in flight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: OrderedDict[tuple[str, str], Predictor] = OrderedDict()

    def explain(self, model: ServedModel, image: Image.Image, label: str) -> dict[str, Any] | None:
        """Explain why a model gives a label; takes tenths of a second, so not on the event loop.

        Args:
            model: What judged.
            image: Upright, mode ``RGB`` or ``L``.
            label: The class to explain.

        Returns:
            As ``explanation`` in the answer; None where the model looks at no picture.
        """
        from distingo.explanation.explaining import explain_image

        if not can_explain(model.predictor):
            return None
        with self._lock:
            found = explain_image(self._copy(model), image, label, run=model.run, neighbours=NEIGHBOURS)
        from distingo.report.thumbnails import heat_address

        return {
            "class": label,
            "heat_map": None if found.heat.is_empty else heat_address(image.size, found.seen, found.heat.values),
            "neighbours": [_describe(neighbour) for neighbour in found.neighbours],
        }

    def _copy(self, model: ServedModel) -> Predictor:
        key = (model.name, model.version)
        if key not in self._copies:
            saved = model.predictor.model
            self._copies[key] = Predictor(
                replace(saved, network=copy.deepcopy(saved.network)), str(model.predictor.device), "torch"
            )
            while len(self._copies) > _MODELS_KEPT:
                self._copies.popitem(last=False)
        self._copies.move_to_end(key)
        return self._copies[key]


def _describe(neighbour: Neighbour) -> dict[str, Any]:
    picture = None
    if neighbour.picture is not None:
        encoded = io.BytesIO()
        Image.fromarray(neighbour.picture).save(encoded, "JPEG", quality=80)
        picture = f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
    return {"label": ", ".join(neighbour.labels), "distance": neighbour.distance, "picture": picture}


class JsonAnswer(Response):
    """An answer of JSON bytes."""

    media_type = "application/json"


def as_answer(content: Any, status: int = 200) -> JsonAnswer:
    """An answer that holds this content as JSON."""
    return JsonAnswer(orjson.dumps(content), status)


def describe_model(model: ServedModel, *, corrections: bool) -> dict[str, Any]:
    """A model as ``GET /models`` lists it.

    Args:
        model: One that is served.
        corrections: Whether the owner allows them.
    """
    predictor = model.predictor
    rendition = predictor.model.description.rendition
    size = {} if rendition is None else {"height": rendition.height, "width": rendition.width}
    return {
        "name": model.name,
        "version": model.version,
        "task": predictor.task,
        "classes": list(predictor.classes),
        "thresholds": predictor.thresholds,
        "explains": can_explain(predictor),
        "corrections": corrections,
        "levels": asdict(model.levels),
        "input": {**size, "channels": 3 if rendition is None else rendition.channels},
    }


def name_and_count(
    metrics: Metrics, model: ServedModel, name: str, verdict: tuple[Judged, int] | RefusedError, wishes: Wishes
) -> dict[str, Any]:
    """One picture's entry of ``predictions``, counted.

    Args:
        metrics: Count it.
        model: What judged.
        name: The client's name for the picture.
        verdict: As for `name_verdict`, or why there is none.
        wishes: Of the request.
    """
    if isinstance(verdict, RefusedError):
        entry = name_refusal(name, verdict)
    else:
        entry = name_verdict(model, name, verdict, wishes)
        count_scores(metrics, model, verdict)
    count_verdict(metrics, model, entry)
    return entry


def name_verdict(model: ServedModel, name: str, verdict: tuple[Judged, int], wishes: Wishes) -> dict[str, Any]:
    """One picture's entry of ``predictions``.

    Args:
        model: What judged.
        name: The client's name for the picture.
        verdict: On the picture's batch, and the picture's place in it.
        wishes: Of the request.
    """
    predictor = model.predictor
    certainty = model.certainty(wishes.abstain, wishes.coverage)
    prediction = predictor.describe(name, *verdict, topk=wishes.top_k, certainty=certainty)
    thresholds = _thresholds(model, wishes)
    given = _given(model, prediction, verdict, wishes)
    scores = [
        {"label": label, "probability": chance, "threshold": thresholds.get(label), "given": label in given}
        for label, chance in zip(prediction.labels, prediction.probabilities, strict=True)
    ]
    return {
        "picture": name,
        "label": prediction.label,
        "labels": given,
        "known": not prediction.abstained and bool(given or predictor.task == "multi-label"),
        "unlike_training": prediction.unlike,
        "scores": scores,
        "set": None if prediction.prediction_set is None else list(prediction.prediction_set),
        "explanation": None,
        "error": None,
    }


def name_refusal(name: str, refusal: RefusedError) -> dict[str, Any]:
    """The entry of ``predictions`` of a picture that could not be judged, among others that could."""
    return {
        "picture": name,
        "label": None,
        "labels": [],
        "known": False,
        "unlike_training": None,
        "scores": [],
        "set": None,
        "explanation": None,
        "error": {"status": refusal.status, "reason": refusal.reason},
    }


def count_verdict(metrics: Metrics, model: ServedModel, entry: dict[str, Any]) -> None:
    """Count what one entry of ``predictions`` says."""
    version = (model.name, model.version)
    if entry["error"] is not None:
        metrics.unread.labels(model.name, str(entry["error"]["status"])).inc()
        return
    given = set(entry["labels"])
    for score in entry["scores"]:
        if score["label"] in given:
            metrics.predicted.labels(*version, score["label"]).inc()
    if not entry["known"]:
        metrics.unknown.labels(*version).inc()
    if entry["unlike_training"]:
        metrics.unlike.labels(*version).inc()


def count_scores(metrics: Metrics, model: ServedModel, verdict: tuple[Judged, int]) -> None:
    """Count the probabilities of the labels that the model gives by its own thresholds, for their drift."""
    judged, place = verdict
    probabilities = judged.probabilities[place]
    if model.predictor.task == "single-label":
        metrics.count_score(model.name, model.version, float(probabilities.max()))
        return
    for chance, threshold in zip(probabilities.tolist(), model.label_thresholds, strict=True):
        if chance >= threshold:
            metrics.count_score(model.name, model.version, chance)


def _thresholds(model: ServedModel, wishes: Wishes) -> dict[str, float]:
    if wishes.threshold is not None:
        return dict.fromkeys(model.predictor.classes, wishes.threshold)
    return model.predictor.thresholds or {}


def _given(model: ServedModel, prediction: Prediction, verdict: tuple[Judged, int], wishes: Wishes) -> list[str]:
    """The labels that are given: the model's own, or those that reach the wanted threshold."""
    if model.predictor.task == "single-label":
        sure = not prediction.abstained and prediction.confidence >= (wishes.threshold or 0.0)
        return [prediction.label] if sure else []
    if wishes.threshold is None:
        return list(prediction.given or ())
    judged, place = verdict
    lowest = max(wishes.threshold, model.certainty(wishes.abstain, wishes.coverage).answer_from or 0.0)
    chances = judged.probabilities[place].tolist()
    reached = [
        (chance, label) for chance, label in zip(chances, model.predictor.classes, strict=True) if chance >= lowest
    ]
    return [label for _, label in sorted(reached, key=lambda pair: -pair[0])]
