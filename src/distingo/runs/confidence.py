"""``confidence.json``: calibration, abstention, prediction sets and out-of-distribution images of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distingo.metrics.calibration import Calibration
from distingo.records import Score
from distingo.runs.fields import read_record, write_record

CONFIDENCE_FILE = "confidence.json"


@dataclass(frozen=True, slots=True)
class AnswersAt:
    """Results of abstention at a requested maximum error rate.

    Attributes:
        wanted: The requested maximum share of wrong answers.
        threshold: Minimum probability of an answer; None if the calibration set can't guarantee the rate.
        answered: Share of the evaluated images that were answered.
        error: Share of wrong answers (multi-label: mean share of wrong labels per answer); None if there were no
            answers.
        short: Whether the error rate is significantly above the requested one.
        takes: Number of answers needed to guarantee the rate even if none is wrong; None in files of older versions.
    """

    wanted: float
    threshold: float | None = None
    answered: float = 0.0
    error: Score | None = None
    short: bool = False
    takes: int | None = None


@dataclass(frozen=True, slots=True)
class SetsAt:
    """Results of prediction sets at a requested coverage.

    Attributes:
        wanted: The requested coverage.
        threshold: Minimum probability of a label in a set; None if the calibration set can't guarantee the coverage.
        covered: Share of true labels that were in their image's set (mean over images with labels).
        size: Mean number of labels in a set.
        empty: Share of empty sets.
        low: Coverage that 95 of 100 draws of the calibration set reach; None in files of older versions.
        high: Coverage that 5 of 100 draws of the calibration set reach.
        short: Whether the coverage is significantly below the requested one, considering the randomness of both the
            calibration set and the evaluated images.
        takes: Number of calibration images needed for the coverage; None in files of older versions.
    """

    wanted: float
    threshold: float | None = None
    covered: Score | None = None
    size: float = 0.0
    empty: float = 0.0
    low: float | None = None
    high: float | None = None
    short: bool = False
    takes: int | None = None


@dataclass(frozen=True, slots=True)
class Strangers:
    """Evaluated images that were flagged as out of distribution.

    Attributes:
        flagged: Number of flagged images.
        alarms: False-alarm rate: the share of in-distribution images that are flagged.
        files: Some of the flagged images, the most distant first.
    """

    flagged: int
    alarms: float
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """The content of ``confidence.json``.

    Attributes:
        n: Number of evaluated images.
        validation: Number of images in the calibration set; 0 for a model without one.
        before: Calibration of the uncalibrated probabilities; None if no calibration was fitted.
        after: Calibration of the probabilities that the model returns.
        curve: Risk-coverage curve: pairs of coverage and error, from the most confident answers to all.
        area: Area under the risk-coverage curve (AURC).
        answers: Abstention at several error rates.
        sets: Prediction sets at several coverages.
        strangers: Out-of-distribution images; None if the model can't detect them.
        folds: 0 if the calibration set is the validation split; else the number of cross-validation models whose
            out-of-fold predictions on training and validation images form the calibration set.
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
    folds: int = 0


def write_confidence(folder: Path, confidence: Confidence) -> None:
    """Write ``confidence.json`` to a run folder, or the folder in it of an evaluation on other images."""
    write_record(folder / CONFIDENCE_FILE, confidence)


def read_confidence(folder: Path) -> Confidence | None:
    """Read ``confidence.json``; None if the run was evaluated by an older version, which did not write it.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    path = folder / CONFIDENCE_FILE
    if not path.is_file():
        return None
    return read_record(path, Confidence, advice="evaluate the run again")
