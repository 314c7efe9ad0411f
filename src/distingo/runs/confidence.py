"""What a model's certainty is worth on evaluated images: ``confidence.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distingo.metrics.calibration import Calibration
from distingo.records import Score
from distingo.runs.fields import read_record, write_record

CONFIDENCE_FILE = "confidence.json"


@dataclass(frozen=True, slots=True)
class AnswersAt:
    """What requesting a maximum share of wrong answers led to.

    Attributes:
        wanted: The requested share.
        threshold: The probability from which on the model answers; None where the calibration set can't hold the share.
        answered: The share of evaluated images that were answered.
        error: The share of answers that were wrong (with several labels the mean share of an answer's labels); None
            where there were none.
        short: Whether more of the answers were wrong than the share, and more than chance explains.
        takes: How many answers it takes to hold the share even if none is wrong; None of an older distingo.
    """

    wanted: float
    threshold: float | None = None
    answered: float = 0.0
    error: Score | None = None
    short: bool = False
    takes: int | None = None


@dataclass(frozen=True, slots=True)
class SetsAt:
    """What prediction sets of a requested coverage led to.

    Attributes:
        wanted: The requested coverage.
        threshold: The probability from which a label belongs to the set; None where the calibration set can't hold
            such coverage.
        covered: The share of true labels that were in their image's set (mean over images with labels).
        size: Labels in a set on average.
        empty: Share of sets without a label.
        low: What is covered in 95 of 100 draws of the calibration set at least; None of an older distingo.
        high: What is covered in 5 of 100 draws at least.
        short: Whether less was covered than chance explains: that of the calibration set and of the evaluated images.
        takes: How many calibration images the coverage takes; None of an older distingo.
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
    """Evaluated images that are out of distribution: unlike anything in training.

    Attributes:
        flagged: How many.
        alarms: The share of images like those of training that are flagged too.
        files: Some of them, the farthest first.
    """

    flagged: int
    alarms: float
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """The content of ``confidence.json``.

    Attributes:
        n: How many images were evaluated.
        validation: How many images the calibration set has; 0 for a model that keeps none.
        before: Calibration of the model's own probabilities; None where none was fitted.
        after: Calibration of the probabilities that it gives.
        curve: Coverage and error, from the most confident answers to all.
        area: The mean error over the curve (AURC).
        answers: At several shares of wrong answers.
        sets: At several coverages.
        strangers: None where the model can't tell.
        folds: 0 where the calibration set is validation; else how many models scored training and validation, each
            what it was not fitted on.
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
    """Read back what `write_confidence` wrote; None where an older distingo evaluated.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    path = folder / CONFIDENCE_FILE
    if not path.is_file():
        return None
    return read_record(path, Confidence, advice="evaluate the run again")
