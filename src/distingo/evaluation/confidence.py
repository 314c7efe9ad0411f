"""What a model's certainty is worth on judged pictures: ``confidence.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distingo.datasets.targets import encode_labels
from distingo.errors import RunError
from distingo.files import read_json, write_json
from distingo.metrics.bootstrap import proportion, resampled_means, with_interval
from distingo.metrics.calibration_error import Calibration, CalibrationBin, judge_calibration
from distingo.metrics.conformal import prediction_sets, set_threshold
from distingo.metrics.rejection import GivenLabels, answer_threshold
from distingo.metrics.risk_coverage import risk_coverage
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.evidence import Evidence
from distingo.models.saved import SavedModel
from distingo.prediction.certainty import given_labels, unlike_threshold
from distingo.prediction.classifier import Outputs, to_probabilities
from distingo.records import Picture, Score
from distingo.run_folder import FORMAT, check_format

CONFIDENCE_FILE = "confidence.json"

ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Wanted shares of wrong answers that are tried on the judged pictures."""

COVERAGES = (0.8, 0.9, 0.95, 0.99)
"""Wanted coverages of prediction sets that are tried on the judged pictures."""

_MOST_POINTS = 200
_MOST_STRANGE = 8
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class AnswersAt:
    """What a wanted share of wrong answers came to.

    Attributes:
        wanted: The share.
        threshold: The probability from which on the model answers; None where validation can't vouch for the share.
        answered: The share of judged pictures that were answered.
        error: The share of answers that were wrong (with several labels the mean share of an answer's labels); None
            where there were none.
    """

    wanted: float
    threshold: float | None = None
    answered: float = 0.0
    error: Score | None = None


@dataclass(frozen=True, slots=True)
class SetsAt:
    """What prediction sets of a wanted coverage came to.

    Attributes:
        wanted: The coverage.
        threshold: The probability from which a label belongs to the set; None where validation can't vouch for it.
        covered: The share of true labels that were in their picture's set (mean over pictures with labels).
        size: Labels in a set on average.
        empty: Share of sets without a label.
    """

    wanted: float
    threshold: float | None = None
    covered: Score | None = None
    size: float = 0.0
    empty: float = 0.0


@dataclass(frozen=True, slots=True)
class Strangers:
    """Judged pictures that are unlike anything in training.

    Attributes:
        flagged: How many.
        alarms: The share of pictures like those of training for which this may happen.
        files: Some of them, the farthest first.
    """

    flagged: int
    alarms: float
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """The content of ``confidence.json``.

    Attributes:
        n: How many pictures were judged.
        validation: How many pictures all was chosen on; 0 for a model that keeps nothing to go by.
        before: Calibration of the model's own probabilities; None where none was fitted.
        after: Calibration of the probabilities that it gives.
        curve: Coverage and error, from the surest answers to all.
        area: The mean error over the curve (AURC).
        answers: At several wanted shares of wrong answers.
        sets: At several wanted coverages.
        strangers: None where the model can't tell.
    """

    n: int
    validation: int
    before: Calibration | None
    after: Calibration
    curve: tuple[tuple[float, float], ...]
    area: Score | None
    answers: tuple[AnswersAt, ...]
    sets: tuple[SetsAt, ...]
    strangers: Strangers | None


def judge_confidence(model: SavedModel, pictures: Sequence[Picture], outputs: Outputs) -> Confidence:
    """Judge a model's certainty.

    Args:
        model: With calibration and evidence where it has them; nothing is fitted here.
        pictures: n pictures with their truth.
        outputs: What the model says of them.
    """
    description = model.description
    targets = encode_labels(pictures, description.classes, description.task)
    truth = targets if targets.ndim == 2 else np.arange(len(description.classes)) == targets[:, None]
    probabilities = to_probabilities(model, outputs.logits)
    labels = _labels_given(model, probabilities, truth)
    before = None
    if description.calibration is not None:
        before = _calibration(to_probabilities(model, outputs.logits, calibrated=False), truth, targets)
    found = risk_coverage(labels, len(pictures)) if len(labels.owners) else None
    evidence = model.evidence
    return Confidence(
        n=len(pictures),
        validation=evidence.n if evidence else 0,
        before=before,
        after=_calibration(probabilities, truth, targets),
        curve=() if found is None else _thin(found.coverage, found.error),
        area=None if found is None else found.area,
        answers=tuple(_answers_at(evidence, labels, wanted, len(pictures)) for wanted in ERRORS) if evidence else (),
        sets=tuple(_sets_at(evidence, probabilities, truth, wanted) for wanted in COVERAGES) if evidence else (),
        strangers=_strangers(model, pictures, outputs),
    )


def _calibration(probabilities: np.ndarray, truth: np.ndarray, targets: np.ndarray) -> Calibration:
    if targets.ndim == 2:
        return judge_calibration(probabilities, truth)
    return judge_calibration(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)


def _labels_given(model: SavedModel, probabilities: np.ndarray, truth: np.ndarray) -> GivenLabels:
    if model.description.task == "multi-label":
        given = apply_thresholds(probabilities, model.description.require_thresholds())
    else:
        given = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    owners, labels = np.nonzero(given)
    return GivenLabels(owners.astype(np.int64), probabilities[owners, labels].astype(np.float64), truth[owners, labels])


def _thin(coverage: np.ndarray, error: np.ndarray) -> tuple[tuple[float, float], ...]:
    places = np.unique(np.linspace(0, len(coverage) - 1, min(_MOST_POINTS, len(coverage))).round().astype(int))
    return tuple((float(coverage[place]), float(error[place])) for place in places)


def _answers_at(evidence: Evidence, labels: GivenLabels, wanted: float, n: int) -> AnswersAt:
    threshold = answer_threshold(given_labels(evidence), wanted)
    if threshold is None:
        return AnswersAt(wanted)
    errors = labels.errors(threshold)
    return AnswersAt(wanted, threshold, len(errors) / n, _mean(errors) if len(errors) else None)


def _sets_at(evidence: Evidence, probabilities: np.ndarray, truth: np.ndarray, wanted: float) -> SetsAt:
    threshold = set_threshold(evidence.truths, evidence.weights, evidence.n, wanted)
    labelled = truth.any(axis=1)
    if threshold is None or not labelled.any():
        return SetsAt(wanted)
    inside = prediction_sets(probabilities, threshold)
    covered = (inside & truth).sum(axis=1)[labelled] / truth.sum(axis=1)[labelled]
    sizes = inside.sum(axis=1)
    return SetsAt(wanted, threshold, _mean(covered), float(sizes.mean()), float((sizes == 0).mean()))


def _mean(values: np.ndarray) -> Score:
    """The mean of shares with its interval."""
    generator = np.random.default_rng(0)
    if np.isin(values, (0, 1)).all():
        return proportion(round(values.sum()), len(values), generator, _RESAMPLES)
    return with_interval(float(values.mean()), resampled_means(values, generator, _RESAMPLES), len(values))


def _strangers(model: SavedModel, pictures: Sequence[Picture], outputs: Outputs) -> Strangers | None:
    if model.bank is None or model.evidence is None or not len(model.evidence.distances):
        return None
    threshold, alarms = unlike_threshold(model)
    distances = model.bank.distances(outputs.features)
    order = np.argsort(-distances, kind="stable")
    flagged = order[distances[order] > threshold]
    files = tuple(pictures[place].source.file for place in flagged[:_MOST_STRANGE])
    return Strangers(len(flagged), alarms, files)


def write_confidence(folder: Path, confidence: Confidence) -> None:
    """Write ``confidence.json`` to a run folder, or the folder in it of an evaluation on other pictures."""
    write_json(folder / CONFIDENCE_FILE, {"format": FORMAT, **asdict(confidence)})


def read_confidence(folder: Path) -> Confidence | None:
    """Read back what `write_confidence` wrote; None where an older distingo evaluated.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    path = folder / CONFIDENCE_FILE
    if not path.is_file():
        return None
    content = read_json(path)
    check_format(content, path)
    try:
        strangers = content["strangers"]
        return Confidence(
            n=content["n"],
            validation=content["validation"],
            before=None if content["before"] is None else _read_calibration(content["before"]),
            after=_read_calibration(content["after"]),
            curve=tuple((float(coverage), float(error)) for coverage, error in content["curve"]),
            area=_read_score(content["area"]),
            answers=tuple(AnswersAt(**{**each, "error": _read_score(each["error"])}) for each in content["answers"]),
            sets=tuple(SetsAt(**{**each, "covered": _read_score(each["covered"])}) for each in content["sets"]),
            strangers=None if strangers is None else Strangers(**{**strangers, "files": tuple(strangers["files"])}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); evaluate the run again") from error


def _read_calibration(content: dict[str, Any]) -> Calibration:
    return Calibration(Score(**content["error"]), tuple(CalibrationBin(**each) for each in content["bins"]))


def _read_score(content: dict[str, Any] | None) -> Score | None:
    return None if content is None else Score(**content)
