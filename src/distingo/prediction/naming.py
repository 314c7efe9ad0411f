"""Conversion of probabilities to predictions: labels, prediction sets, abstention and OOD detection.

The model's calibration set determines the thresholds for the requested levels and the guarantees they come with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from distingo.errors import UsageError, option
from distingo.metrics.conformal import (
    CoverageRange,
    PredictedLabels,
    answer_threshold,
    answers_needed,
    coverage_range,
    effective_images,
    highest_coverage,
    images_needed,
    lowest_error,
    prediction_sets,
    set_threshold,
    upper_threshold,
)
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.reference_data import CalibrationSet, FeatureBank
from distingo.records import Task, ValueRanges
from distingo.scores import Prediction, Thresholds

FALSE_ALARMS = 0.01
"""Rate at which in-distribution images may be flagged as out of distribution."""

_NO_CALIBRATION_SET = (
    "the model keeps nothing to go by (an older distingo trained it, or it looks at no picture); train again"
)


class CalibratedModel(Protocol):
    """A model with its calibration set: a saved one or an exported one."""

    @property
    def bank(self) -> FeatureBank | None:
        """Feature bank of training images; None if the model has none."""

    @property
    def calibration_set(self) -> CalibrationSet | None:
        """The model's calibration set; None if it has none."""


@dataclass(frozen=True, slots=True)
class Certainty:
    """Thresholds for one call.

    Attributes:
        answer_probability: Lowest probability of an answer; None never abstains.
        set_probability: Lowest probability of a label in the prediction set; None makes no sets.
        ood_distance: Distance to the feature bank above which an image is out of distribution; None without a bank.
        coverage: Range of coverages of the sets over random calibration sets; None makes no sets.
    """

    answer_probability: float | None = None
    set_probability: float | None = None
    ood_distance: float | None = None
    coverage: CoverageRange | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels that a calibration set can guarantee.

    Attributes:
        abstain_from: The lowest share of wrong answers that can be requested; None if there is none.
        coverage_to: The highest coverage that can be requested, in steps of 0.001; None if there is none.
    """

    abstain_from: float | None
    coverage_to: float | None


def possible_levels(model: CalibratedModel) -> Levels:
    """The levels that `certainty_thresholds` accepts.

    Args:
        model: A model, with or without a calibration set.
    """
    if model.calibration_set is None:
        return Levels(None, None)
    highest = highest_coverage(model.calibration_set.n)
    return Levels(lowest_error(calibration_labels(model.calibration_set)), highest if highest > 0 else None)


def certainty_thresholds(
    model: CalibratedModel, *, abstain: float | None = None, coverage: float | None = None
) -> Certainty:
    """Derive the thresholds of a call from the requested levels.

    Args:
        model: A model, with or without a calibration set.
        abstain: The requested share of wrong answers; None always answers.
        coverage: The requested share of true labels in the prediction sets; None makes no sets.

    Raises:
        UsageError: A level is not between 0 and 1, or the calibration set can't guarantee it.
    """
    for name, requested, example in (("abstain", abstain, 0.05), ("coverage", coverage, 0.95)):
        if requested is not None and not 0 < requested < 1:
            suggestion = requested / 100 if 1 < requested < 100 else example
            raise UsageError(
                f"{option(name)} {requested:g}: give a share above 0 and below 1, for example {suggestion:g}",
                code="out_of_range",
                parameter=name,
            )
        if requested is not None and model.calibration_set is None:
            raise UsageError(
                f"{option(name)} {requested:g}: {_NO_CALIBRATION_SET}", code="no_calibration", parameter=name
            )
    calibration_set = model.calibration_set
    if calibration_set is None:
        return Certainty()
    threshold = None if coverage is None else _set_probability(calibration_set, coverage)
    return Certainty(
        answer_probability=None if abstain is None else _answer_probability(calibration_set, abstain),
        set_probability=threshold,
        ood_distance=ood_threshold(model)[0] if model.bank is not None and len(calibration_set.distances) else None,
        coverage=None if coverage is None or threshold is None else set_coverage(calibration_set, coverage, threshold),
    )


def set_coverage(calibration_set: CalibrationSet, coverage: float, threshold: float) -> CoverageRange | None:
    """Range of coverages of prediction sets over random calibration sets.

    Args:
        calibration_set: The calibration set.
        coverage: The requested coverage.
        threshold: Lowest probability of a label in a set (`distingo.metrics.conformal.set_threshold`).

    Returns:
        The range; None if the calibration set can't guarantee the coverage.
    """
    effective = effective_images(calibration_set.truths, calibration_set.weights, calibration_set.n, threshold)
    return coverage_range(calibration_set.n, coverage, effective=effective)


def describe_guarantees(
    model: CalibratedModel, *, abstain: float | None = None, coverage: float | None = None
) -> list[str]:
    """Describe the guarantee of each requested level in one sentence.

    Args:
        model: A model, with or without a calibration set.
        abstain: As for `certainty_thresholds`.
        coverage: As for `certainty_thresholds`.
    """
    calibration_set, sentences = model.calibration_set, list[str]()
    if calibration_set is None:
        return sentences
    source = name_calibration(calibration_set)
    reservation = " (as far as the models of the folds are like the final one)" if calibration_set.folds else ""
    if abstain is not None:
        sentences.append(
            f"{option('abstain')} {abstain:g}: in 95 of 100 trainings at most {abstain:.4g} of the answers are wrong "
            f"on new pictures like those of training, tested on {source}{reservation}"
        )
    coverages = certainty_thresholds(model, coverage=coverage).coverage
    if coverage is not None and coverages is not None:
        is_multi_label = bool((calibration_set.weights != 1).any())
        text = (
            "hold between {} and {} of a picture's labels" if is_multi_label else "hold the true label of {} to {} of"
        )
        text = text.format(f"{coverages.low:.1%}", f"{coverages.high:.1%}")
        sentences.append(
            f"{option('coverage')} {coverage:g}: in 9 of 10 trainings sets {text}{' in' if is_multi_label else ''} new "
            f"pictures like those of training, calibrated on {source}{reservation}"
        )
    return sentences


def name_calibration(calibration_set: CalibrationSet) -> str:
    """Describe the calibration set, as in "302 training and validation pictures, each scored by ..."."""
    if not calibration_set.folds:
        return f"{calibration_set.n:,} validation pictures"
    return (
        f"{calibration_set.n:,} training and validation pictures, each scored by one of "
        f"{calibration_set.folds} models that was not fitted on it"
    )


def calibration_labels(calibration_set: CalibrationSet) -> PredictedLabels:
    """The labels predicted for the images of the calibration set."""
    return PredictedLabels(calibration_set.owners, calibration_set.confidences, calibration_set.right)


def ood_threshold(model: CalibratedModel) -> tuple[float, float]:
    """The distance above which an image is out of distribution, and the guaranteed rate of false alarms.

    Args:
        model: A model with a feature bank and a calibration set.
    """
    if model.calibration_set is None:
        raise ValueError("a model without evidence knows no distances")
    return upper_threshold(model.calibration_set.distances, FALSE_ALARMS)


def _answer_probability(calibration_set: CalibrationSet, requested: float) -> float:
    threshold = answer_threshold(calibration_labels(calibration_set), requested)
    if threshold is None:
        lowest = lowest_error(calibration_labels(calibration_set))
        instead = "no share" if lowest is None else f"{lowest:g} at the lowest"
        raise UsageError(
            f"{option('abstain')} {requested:g}: the {calibration_set.n:,} calibration pictures can hold {instead} for "
            f"this model; ask for more wrong answers, or train with more pictures (it takes "
            f"{answers_needed(requested):,} answers even without a wrong one)",
            code="unreachable_guarantee",
            parameter="abstain",
        )
    return threshold


def _set_probability(calibration_set: CalibrationSet, requested: float) -> float:
    threshold = set_threshold(calibration_set.truths, calibration_set.weights, calibration_set.n, requested)
    if threshold is None:
        raise UsageError(
            f"{option('coverage')} {requested:g}: the {calibration_set.n:,} calibration pictures can hold "
            f"{highest_coverage(calibration_set.n):g} at the highest; ask for less, or train with more pictures "
            f"(it takes {images_needed(requested):,} of them for calibration)",
            code="unreachable_guarantee",
            parameter="coverage",
        )
    return threshold


class DescribedModel(Protocol):
    """The description of a saved or an exported model, as needed for its predictions."""

    @property
    def task(self) -> Task:
        """``single-label`` or ``multi-label``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""

    @property
    def value_ranges(self) -> ValueRanges:
        """Value ranges by which images with more than 8 bits are scaled."""

    def require_thresholds(self) -> Thresholds:
        """Multi-label: the decision threshold of each label."""


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The output of a model for some images.

    Attributes:
        probabilities: Calibrated probabilities, float32 (n, classes).
        is_ood: Bool (n,), whether each image is out of distribution; None if the model has no threshold for it.
    """

    probabilities: npt.NDArray[np.float32]
    is_ood: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.probabilities)


def name_prediction(
    model: DescribedModel, name: str, evaluated: ModelOutput, position: int, *, topk: int | None, certainty: Certainty
) -> Prediction:
    """Create the prediction for one image of a batch.

    Args:
        model: Description with the classes and thresholds.
        name: Name of the image.
        evaluated: The model's output for the batch.
        position: Index of the image in the batch.
        topk: Number of labels; None as for `distingo.records.Prediction.labels`.
        certainty: The thresholds of the call.
    """
    probabilities = evaluated.probabilities[position]
    order = np.argsort(-probabilities, kind="stable")
    predicted_labels = abstained = None
    shown = order[: topk or len(order)]
    confident = probabilities.astype(np.float64) >= (certainty.answer_probability or 0.0)
    if model.task == "multi-label":
        reached = apply_thresholds(probabilities, model.require_thresholds())
        selected = order[(reached & confident)[order]]
        predicted_labels = tuple(model.classes[index] for index in selected)
        shown = selected if topk is None else shown
        abstained = bool(reached.any() and not len(selected))
    else:
        abstained = not confident[order[0]]
    return Prediction(
        name,
        tuple(model.classes[index] for index in shown),
        tuple(float(probabilities[index]) for index in shown),
        given=predicted_labels,
        abstained=None if certainty.answer_probability is None else bool(abstained),
        prediction_set=_set_of(model, probabilities, order, certainty),
        unlike=None if evaluated.is_ood is None else bool(evaluated.is_ood[position]),
    )


def name_failure(model: DescribedModel, name: str, reason: str) -> Prediction:
    """Create the prediction for an image that can't be read, with the reason as its error."""
    return Prediction(name, (), (), reason, None if model.task == "single-label" else ())


def _set_of(
    model: DescribedModel, probabilities: np.ndarray, order: np.ndarray, certainty: Certainty
) -> tuple[str, ...] | None:
    if certainty.set_probability is None:
        return None
    in_set = prediction_sets(probabilities, certainty.set_probability)
    return tuple(model.classes[index] for index in order[in_set[order]])
