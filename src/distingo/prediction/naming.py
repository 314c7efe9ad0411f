"""From probabilities to a prediction: labels, sets, abstention and whether an image is out of distribution.

The calibration set of a model gives the thresholds at the levels that are requested, and what they guarantee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from distingo.errors import UsageError, option
from distingo.metrics.conformal import (
    CoverageRange,
    GivenLabels,
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
from distingo.models.calibration_set import CalibrationSet
from distingo.models.feature_bank import FeatureBank
from distingo.records import Prediction, Task, Thresholds, ValueRanges

FALSE_ALARMS = 0.01
"""The share of images like those of training that may be called unlike them."""

_NO_EVIDENCE = "the model keeps nothing to go by (an older distingo trained it, or it looks at no picture); train again"


class Vouched(Protocol):
    """A model with its calibration set: a saved one or an exported one."""

    @property
    def bank(self) -> FeatureBank | None:
        """Features of training images."""

    @property
    def calibration_set(self) -> CalibrationSet | None:
        """Its calibration set."""


@dataclass(frozen=True, slots=True)
class Certainty:
    """Thresholds for one call.

    Attributes:
        answer_from: The probability from which a label is answered with; None answers always.
        set_from: The probability from which a label belongs to the prediction set; None makes no sets.
        unlike_from: The distance to the bank above which an image is out of distribution; None without one.
        coverage: What the sets cover, from one draw of the calibration set to the next; None makes no sets.
    """

    answer_from: float | None = None
    set_from: float | None = None
    unlike_from: float | None = None
    coverage: CoverageRange | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """Which levels the calibration set can hold.

    Attributes:
        abstain_from: The lowest share of wrong answers that can be requested; None where none can.
        coverage_to: The highest coverage that can be requested, in steps of a thousandth; None where none can.
    """

    abstain_from: float | None
    coverage_to: float | None


def possible_levels(model: Vouched) -> Levels:
    """Which levels `settle_certainty` grants.

    Args:
        model: With its evidence, where it has any.
    """
    if model.calibration_set is None:
        return Levels(None, None)
    highest = highest_coverage(model.calibration_set.n)
    return Levels(lowest_error(given_labels(model.calibration_set)), highest if highest > 0 else None)


def settle_certainty(model: Vouched, *, abstain: float | None = None, coverage: float | None = None) -> Certainty:
    """Derive a call's thresholds.

    Args:
        model: With its evidence, where it has any.
        abstain: The requested share of wrong answers; None always answers.
        coverage: The requested share of true labels in the prediction sets; None makes no sets.

    Raises:
        UsageError: A level is no share, or the calibration set can't guarantee it.
    """
    for name, requested, example in (("abstain", abstain, 0.05), ("coverage", coverage, 0.95)):
        if requested is not None and not 0 < requested < 1:
            likely = requested / 100 if 1 < requested < 100 else example
            raise UsageError(
                f"{option(name)} {requested:g}: give a share above 0 and below 1, for example {likely:g}",
                code="out_of_range",
                parameter=name,
            )
        if requested is not None and model.calibration_set is None:
            raise UsageError(f"{option(name)} {requested:g}: {_NO_EVIDENCE}", code="no_calibration", parameter=name)
    calibration_set = model.calibration_set
    if calibration_set is None:
        return Certainty()
    threshold = None if coverage is None else _set_from(calibration_set, coverage)
    return Certainty(
        answer_from=None if abstain is None else _answer_from(calibration_set, abstain),
        set_from=threshold,
        unlike_from=unlike_threshold(model)[0] if model.bank is not None and len(calibration_set.distances) else None,
        coverage=None if coverage is None or threshold is None else set_coverage(calibration_set, coverage, threshold),
    )


def set_coverage(calibration_set: CalibrationSet, coverage: float, threshold: float) -> CoverageRange | None:
    """What sets of a requested coverage cover, from one draw of the calibration set to the next.

    Args:
        calibration_set: The calibration set.
        coverage: As requested.
        threshold: From which a label belongs to a set (`distingo.metrics.conformal.set_threshold`).

    Returns:
        None where the calibration set can't hold such coverage.
    """
    effective = effective_images(calibration_set.truths, calibration_set.weights, calibration_set.n, threshold)
    return coverage_range(calibration_set.n, coverage, effective=effective)


def describe_guarantees(model: Vouched, *, abstain: float | None = None, coverage: float | None = None) -> list[str]:
    """What is guaranteed at requested levels that `settle_certainty` grants, one sentence for each.

    Args:
        model: With its evidence, where it has any.
        abstain: As for `settle_certainty`.
        coverage: As for `settle_certainty`.
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
    found = settle_certainty(model, coverage=coverage).coverage
    if coverage is not None and found is not None:
        several = bool((calibration_set.weights != 1).any())
        held = "hold between {} and {} of a picture's labels" if several else "hold the true label of {} to {} of"
        held = held.format(f"{found.low:.1%}", f"{found.high:.1%}")
        sentences.append(
            f"{option('coverage')} {coverage:g}: in 9 of 10 trainings sets {held}{' in' if several else ''} new "
            f"pictures like those of training, calibrated on {source}{reservation}"
        )
    return sentences


def name_calibration(calibration_set: CalibrationSet) -> str:
    """What the calibration set is, in words: "302 training and validation images, each scored by ..."."""
    if not calibration_set.folds:
        return f"{calibration_set.n:,} validation pictures"
    return (
        f"{calibration_set.n:,} training and validation pictures, each scored by one of "
        f"{calibration_set.folds} models that was not fitted on it"
    )


def given_labels(calibration_set: CalibrationSet) -> GivenLabels:
    """The labels predicted for the images of the calibration set."""
    return GivenLabels(calibration_set.owners, calibration_set.confidences, calibration_set.right)


def unlike_threshold(model: Vouched) -> tuple[float, float]:
    """The distance above which an image is unlike training, and the rate of false alarms that it keeps to.

    Args:
        model: With a bank and evidence.
    """
    if model.calibration_set is None:
        raise ValueError("a model without evidence knows no distances")
    return upper_threshold(model.calibration_set.distances, FALSE_ALARMS)


def _answer_from(calibration_set: CalibrationSet, requested: float) -> float:
    found = answer_threshold(given_labels(calibration_set), requested)
    if found is None:
        lowest = lowest_error(given_labels(calibration_set))
        instead = "no share" if lowest is None else f"{lowest:g} at the lowest"
        raise UsageError(
            f"{option('abstain')} {requested:g}: the {calibration_set.n:,} calibration pictures can hold {instead} for "
            f"this model; ask for more wrong answers, or train with more pictures (it takes "
            f"{answers_needed(requested):,} answers even without a wrong one)",
            code="unreachable_guarantee",
            parameter="abstain",
        )
    return found


def _set_from(calibration_set: CalibrationSet, requested: float) -> float:
    found = set_threshold(calibration_set.truths, calibration_set.weights, calibration_set.n, requested)
    if found is None:
        raise UsageError(
            f"{option('coverage')} {requested:g}: the {calibration_set.n:,} calibration pictures can hold "
            f"{highest_coverage(calibration_set.n):g} at the highest; ask for less, or train with more pictures "
            f"(it takes {images_needed(requested):,} of them for calibration)",
            code="unreachable_guarantee",
            parameter="coverage",
        )
    return found


class Described(Protocol):
    """What is needed of a model to name its predictions: a saved or an exported model's description."""

    @property
    def task(self) -> Task:
        """One label per image, or several."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the probabilities."""

    @property
    def value_ranges(self) -> ValueRanges:
        """What the stored values of deep images are scaled by."""

    def require_thresholds(self) -> Thresholds:
        """With several labels, the decision threshold of each."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The output of a model for some images.

    Attributes:
        probabilities: float32 (n, classes), calibrated.
        unlike: bool (n,), whether an image is out of distribution; None where the model has no threshold for it.
    """

    probabilities: npt.NDArray[np.float32]
    unlike: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.probabilities)


def name_prediction(
    model: Described, name: str, evaluated: Evaluated, position: int, *, topk: int | None, certainty: Certainty
) -> Prediction:
    """The prediction for one image of a batch.

    Args:
        model: Whose classes and thresholds are meant.
        name: Of the image.
        evaluated: Of some images.
        position: Of the image among them.
        topk: So many labels; None as for `distingo.records.Prediction.labels`.
        certainty: The thresholds of the call.
    """
    probabilities = evaluated.probabilities[position]
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
        unlike=None if evaluated.unlike is None else bool(evaluated.unlike[position]),
    )


def name_failure(model: Described, name: str, reason: str) -> Prediction:
    """The prediction of an image that can't be read."""
    return Prediction(name, (), (), reason, None if model.task == "single-label" else ())


def _set_of(
    model: Described, probabilities: np.ndarray, order: np.ndarray, certainty: Certainty
) -> tuple[str, ...] | None:
    if certainty.set_from is None:
        return None
    inside = prediction_sets(probabilities, certainty.set_from)
    return tuple(model.classes[index] for index in order[inside[order]])
