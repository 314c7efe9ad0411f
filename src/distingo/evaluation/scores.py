"""Scores of probabilities against true labels, and of a model's confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from distingo.messages.notes import Note, name_first, note
from distingo.metrics.calibration import Calibration, evaluate_calibration, risk_coverage
from distingo.metrics.conformal import (
    CHANCE,
    CoverageRange,
    PredictedLabels,
    answer_threshold,
    answers_needed,
    images_needed,
    prediction_sets,
    probability_of_so_few,
    set_threshold,
)
from distingo.metrics.intervals import mean_score
from distingo.metrics.multi_label import MultiLabelScores, multi_label_scores
from distingo.metrics.paired import paired_difference
from distingo.metrics.single_label import classification_scores, confusion_matrix, per_class_scores
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.description import ModelDescription
from distingo.models.reference_data import CalibrationSet
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import Outputs, to_probabilities
from distingo.prediction.naming import calibration_labels, ood_threshold, set_coverage
from distingo.records import LabeledImage, encode_labels
from distingo.runs.evaluation import AbstentionResult, Confidence, CoverageResult, OutlierCounts
from distingo.scores import Evaluation, Score

MODEL = "model"
"""Key of the evaluated model in mappings that also contain its baselines."""


def evaluate(
    images: Sequence[LabeledImage],
    models: Mapping[str, ModelDescription],
    probabilities: Mapping[str, np.ndarray],
    notes: tuple[Note, ...] = (),
    *,
    cuts: Mapping[str, np.ndarray] | None = None,
) -> Evaluation:
    """Score a model and its baselines.

    Args:
        images: n images with their true labels.
        models: The model under the key `MODEL`, and its baselines by name.
        probabilities: Probabilities by the same names, float32 (n, classes).
        notes: Notes for the reader of the scores.
        cuts: Multi-label: thresholds per image, float64 (n, classes), by the same names, if the images were evaluated
            by models with different thresholds.

    Returns:
        The scores of the test split. Multi-label scores use the thresholds stored with each model unless `cuts` is
        given.
    """
    if models[MODEL].task == "single-label":
        return _score_classes(images, models[MODEL].classes, probabilities, notes)
    values = {name: np.asarray(model.require_thresholds().values) for name, model in models.items()}
    return _score_labels(images, models, probabilities, notes, cuts or values)


def _score_classes(
    images: Sequence[LabeledImage],
    classes: tuple[str, ...],
    probabilities: Mapping[str, np.ndarray],
    notes: tuple[Note, ...],
) -> Evaluation:
    truth = encode_labels(images, classes, "single-label")
    scores = {name: classification_scores(truth, array, classes) for name, array in probabilities.items()}
    right = {name: array.argmax(axis=1) == truth for name, array in probabilities.items()}
    confusion = confusion_matrix(truth, probabilities[MODEL].argmax(axis=1), len(classes))
    return Evaluation(
        split="test",
        n=len(images),
        classes=classes,
        scores=scores.pop(MODEL),
        per_class=per_class_scores(confusion, classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        baselines=scores,
        notes=(*notes, *_predicted_without_images(confusion, classes)),
        accuracy_gains={name: _gain(right[MODEL], other) for name, other in right.items() if name != MODEL},
    )


def _gain(right: np.ndarray, baseline_right: np.ndarray) -> Score:
    paired = paired_difference(right, baseline_right)
    return Score(paired.difference, paired.low, paired.high, paired.n, paired.too_few)


def _predicted_without_images(confusion: np.ndarray, classes: tuple[str, ...]) -> tuple[Note, ...]:
    names = [
        name
        for name, true, predicted in zip(classes, confusion.sum(axis=1), confusion.sum(axis=0), strict=True)
        if predicted and not true
    ]
    if not names:
        return ()
    return (note("predicted-without-image", names=name_first(names, 5)),)


def _score_labels(
    images: Sequence[LabeledImage],
    models: Mapping[str, ModelDescription],
    probabilities: Mapping[str, np.ndarray],
    notes: tuple[Note, ...],
    cuts: Mapping[str, np.ndarray],
) -> Evaluation:
    description = models[MODEL]
    truth = encode_labels(images, description.classes, "multi-label")
    evaluated: dict[str, MultiLabelScores] = {
        name: multi_label_scores(truth, array, cuts[name], description.classes) for name, array in probabilities.items()
    }
    own = evaluated.pop(MODEL)
    return Evaluation(
        split="test",
        n=len(images),
        classes=description.classes,
        scores=own.scores,
        per_class=(),
        confusion=(),
        baselines={name: result.scores for name, result in evaluated.items()},
        notes=(*notes, *_unlabeled(truth)),
        task="multi-label",
        per_label=own.per_label,
        left_out=own.left_out,
        thresholds=description.require_thresholds(),
    )


def _unlabeled(truth: np.ndarray) -> tuple[Note, ...]:
    count = int((~truth.any(axis=1)).sum())
    return (note("images-unlabelled", count=count, total=len(truth)),) if count else ()


ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Requested shares of wrong answers that are tested on the evaluated images."""

COVERAGES = (0.8, 0.9, 0.95, 0.99)
"""Requested coverages of prediction sets that are tested on the evaluated images."""

_MAX_POINTS = 200

_MAX_FILES = 8


def evaluate_confidence(model: SavedModel, images: Sequence[LabeledImage], outputs: Outputs) -> Confidence:
    """Evaluate a model's confidence.

    Args:
        model: A model, with its calibration and calibration set if it has them; nothing is fitted here.
        images: n images with their true labels.
        outputs: The model's outputs for these images.
    """
    description = model.description
    targets = encode_labels(images, description.classes, description.task)
    truth = targets if targets.ndim == 2 else np.arange(len(description.classes)) == targets[:, None]
    probabilities = to_probabilities(model, outputs.logits)
    labels = _predicted_labels(model, probabilities, truth)
    uncalibrated = None
    if description.calibration is not None:
        uncalibrated = _calibration(to_probabilities(model, outputs.logits, calibrated=False), truth, targets)
    risk = risk_coverage(labels, len(images)) if len(labels.owners) else None
    calibration_set = model.calibration_set
    return Confidence(
        n=len(images),
        validation=calibration_set.n if calibration_set else 0,
        before=uncalibrated,
        after=_calibration(probabilities, truth, targets),
        curve=() if risk is None else _thin(risk.coverage, risk.error),
        area=None if risk is None else risk.area,
        answers=tuple(_answers_at(calibration_set, labels, requested, len(images)) for requested in ERRORS)
        if calibration_set
        else (),
        sets=tuple(_sets_at(calibration_set, probabilities, truth, requested) for requested in COVERAGES)
        if calibration_set
        else (),
        outliers=_out_of_distribution(model, images, outputs),
        folds=calibration_set.folds if calibration_set else 0,
    )


def _calibration(probabilities: np.ndarray, truth: np.ndarray, targets: np.ndarray) -> Calibration:
    if targets.ndim == 2:
        return evaluate_calibration(probabilities, truth)
    return evaluate_calibration(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)


def _predicted_labels(model: SavedModel, probabilities: np.ndarray, truth: np.ndarray) -> PredictedLabels:
    if model.description.task == "multi-label":
        predicted = apply_thresholds(probabilities, model.description.require_thresholds())
    else:
        predicted = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    owners, labels = np.nonzero(predicted)
    return PredictedLabels(
        owners.astype(np.int64), probabilities[owners, labels].astype(np.float64), truth[owners, labels]
    )


def _thin(coverage: np.ndarray, error: np.ndarray) -> tuple[tuple[float, float], ...]:
    indices = np.unique(np.linspace(0, len(coverage) - 1, min(_MAX_POINTS, len(coverage))).round().astype(int))
    return tuple((float(coverage[index]), float(error[index])) for index in indices)


def _answers_at(calibration_set: CalibrationSet, labels: PredictedLabels, requested: float, n: int) -> AbstentionResult:
    threshold = answer_threshold(calibration_labels(calibration_set), requested)
    if threshold is None:
        return AbstentionResult(requested, takes=answers_needed(requested))
    errors = labels.errors(threshold)
    error = mean_score(errors, highest=1.0) if len(errors) else None
    short = error is not None and error.low > requested
    return AbstentionResult(requested, threshold, len(errors) / n, error, short=short, takes=answers_needed(requested))


def _sets_at(
    calibration_set: CalibrationSet, probabilities: np.ndarray, truth: np.ndarray, requested: float
) -> CoverageResult:
    threshold = set_threshold(calibration_set.truths, calibration_set.weights, calibration_set.n, requested)
    labeled = truth.any(axis=1)
    if threshold is None or not labeled.any():
        return CoverageResult(requested, takes=images_needed(requested))
    in_set = prediction_sets(probabilities, threshold)
    covered = (in_set & truth).sum(axis=1)[labeled] / truth.sum(axis=1)[labeled]
    sizes = in_set.sum(axis=1)
    expected = set_coverage(calibration_set, requested, threshold)
    assert expected is not None  # there is a threshold
    return CoverageResult(
        requested,
        threshold,
        mean_score(covered, highest=1.0),
        float(sizes.mean()),
        float((sizes == 0).mean()),
        low=expected.low,
        high=expected.high,
        short=_falls_short(covered, expected),
        takes=images_needed(requested),
    )


def _falls_short(covered: np.ndarray, expected: CoverageRange) -> bool:
    """Whether the coverage is significantly too low; for multi-label shares, by comparing both intervals."""
    if np.isin(covered, (0, 1)).all():
        return probability_of_so_few(float(covered.sum()), len(covered), expected.n, expected.requested) < CHANCE
    return mean_score(covered, highest=1.0).high < expected.low


def _out_of_distribution(model: SavedModel, images: Sequence[LabeledImage], outputs: Outputs) -> OutlierCounts | None:
    if model.bank is None or model.calibration_set is None or not len(model.calibration_set.distances):
        return None
    threshold, alarms = ood_threshold(model)
    distances = model.bank.distances(outputs.features)
    order = np.argsort(-distances, kind="stable")
    flagged = order[distances[order] > threshold]
    files = tuple(images[index].source.file for index in flagged[:_MAX_FILES])
    return OutlierCounts(len(flagged), alarms, files)
