"""Verdicts as the JSON that clients get."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from fastapi import Response

from distingo.prediction.naming import Judged
from distingo.records import Prediction
from distingo.serving.asking import Wishes
from distingo.serving.explaining import can_explain
from distingo.serving.metrics import Metrics
from distingo.serving.refusals import RefusedError
from distingo.serving.served import ServedModel


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
