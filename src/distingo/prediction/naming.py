"""Probabilities to the prediction that a person reads: labels, sets, and what the model does not know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.metrics.conformal import prediction_sets
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.saved import ModelDescription
from distingo.prediction.certainty import Certainty
from distingo.records import Prediction


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model says about some pictures.

    Attributes:
        probabilities: float32 (n, classes), calibrated.
        unlike: bool (n,), whether a picture is unlike anything in training; None where the model can't tell.
    """

    probabilities: npt.NDArray[np.float32]
    unlike: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.probabilities)


def name_prediction(
    model: ModelDescription, name: str, judged: Judged, position: int, *, topk: int | None, certainty: Certainty
) -> Prediction:
    """Put a picture's probabilities in words.

    Args:
        model: Whose classes and thresholds are meant.
        name: Of the picture.
        judged: Of some pictures.
        position: Of the picture among them.
        topk: So many labels; None as for `distingo.records.Prediction.labels`.
        certainty: What the model may claim.
    """
    probabilities = judged.probabilities[position]
    order = np.argsort(-probabilities, kind="stable")
    given = abstained = None
    shown = order[: topk or len(order)]
    sure = probabilities.astype(np.float64) >= (certainty.answer_from or 0.0)
    if model.task == "multi-label":
        reached = apply_thresholds(probabilities, model.require_thresholds())
        above = order[(reached & sure)[order]]
        given = tuple(model.classes[index] for index in above)
        shown = above if topk is None else shown
        abstained = bool(reached.any() and not len(above))
    else:
        abstained = not sure[order[0]]
    return Prediction(
        name,
        tuple(model.classes[index] for index in shown),
        tuple(float(probabilities[index]) for index in shown),
        given=given,
        abstained=None if certainty.answer_from is None else bool(abstained),
        prediction_set=_set_of(model, probabilities, order, certainty),
        unlike=None if judged.unlike is None else bool(judged.unlike[position]),
    )


def name_failure(model: ModelDescription, name: str, reason: str) -> Prediction:
    """The prediction of a picture that can't be read."""
    return Prediction(name, (), (), reason, None if model.task == "single-label" else ())


def _set_of(
    model: ModelDescription, probabilities: np.ndarray, order: np.ndarray, certainty: Certainty
) -> tuple[str, ...] | None:
    if certainty.set_from is None:
        return None
    inside = prediction_sets(probabilities, certainty.set_from)
    return tuple(model.classes[index] for index in order[inside[order]])
