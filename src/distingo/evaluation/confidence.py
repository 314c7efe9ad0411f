"""What a model's certainty is worth on judged pictures: ``confidence.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from distingo.files import read_json, write_json
from distingo.metrics.calibration import Calibration
from distingo.records import Score
from distingo.run_folder import FORMAT, check_format
from distingo.stored_fields import convert

CONFIDENCE_FILE = "confidence.json"


@dataclass(frozen=True, slots=True)
class AnswersAt:
    """What a wanted share of wrong answers came to.

    Attributes:
        wanted: The share.
        threshold: The probability from which on the model answers; None where the calibration set can't hold the share.
        answered: The share of judged pictures that were answered.
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
    """What prediction sets of a wanted coverage came to.

    Attributes:
        wanted: The coverage.
        threshold: The probability from which a label belongs to the set; None where the calibration set can't hold
            such coverage.
        covered: The share of true labels that were in their picture's set (mean over pictures with labels).
        size: Labels in a set on average.
        empty: Share of sets without a label.
        low: What is covered in 95 of 100 draws of the calibration set at least; None of an older distingo.
        high: What is covered in 5 of 100 draws at least.
        short: Whether less was covered than chance explains: that of the calibration set and of the judged pictures.
        takes: How many calibration pictures the coverage takes; None of an older distingo.
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
        validation: How many pictures the calibration set has; 0 for a model that keeps none.
        before: Calibration of the model's own probabilities; None where none was fitted.
        after: Calibration of the probabilities that it gives.
        curve: Coverage and error, from the surest answers to all.
        area: The mean error over the curve (AURC).
        answers: At several wanted shares of wrong answers.
        sets: At several wanted coverages.
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
    return convert(content, Confidence, path, advice="evaluate the run again")
