"""What an evaluation writes, and training measures.

- ``evaluation.json``: scores of a model and its baselines; ``data.json``: the images of another evaluation.
- ``confidence.json``: calibration, abstention, prediction sets and out-of-distribution images.
- ``cost.json``: duration and memory of training, and the speed of prediction.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from distingo.errors import RunError
from distingo.files import read_json, write_json
from distingo.metrics.calibration import Calibration
from distingo.runs.fields import Text, convert, read_record, write_record
from distingo.runs.folder import FORMAT
from distingo.scores import Evaluation, Score

_ADVICE = "evaluate the run again"


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation; each score is an object with the members ``value``, ``low``, ``high`` and ``n``."""
    write_record(path, evaluation)


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation.

    Raises:
        RunError: The file is missing, damaged or from a newer version.
    """
    evaluation = read_record(path, Evaluation, advice=_ADVICE)
    if fault := _fault(evaluation):
        raise RunError(f"{path}: damaged ({fault}); {_ADVICE}", code="damaged_file")
    return evaluation


def _fault(evaluation: Evaluation) -> str:
    count = len(evaluation.classes)
    if evaluation.confusion and [len(row) for row in evaluation.confusion] != [count] * count:
        return f"the confusion matrix is not {count} by {count}"
    if evaluation.per_label and tuple(entry.name for entry in evaluation.per_label) != evaluation.classes:
        return "the scores per label are not those of the classes"
    if evaluation.thresholds and len(evaluation.thresholds.values) != count:
        return f"{len(evaluation.thresholds.values)} thresholds for {count} labels"
    return ""


@dataclass(frozen=True, slots=True)
class OtherData:
    """The content of ``data.json``, next to an evaluation on other images than the run's own.

    Attributes:
        data: The source of the images: a folder, or a table of labels.
        root: The folder that file names are relative to.
    """

    data: Text
    root: Text


def write_other_data(place: Path, other: OtherData) -> None:
    """Write ``data.json`` to the folder of the evaluation.

    Raises:
        ResourceError: The file can't be written.
    """
    write_json(place / "data.json", asdict(other))


def read_other_data(place: Path) -> OtherData:
    """Read ``data.json`` from the folder of an evaluation.

    Raises:
        RunError: The file is missing or damaged.
    """
    path = place / "data.json"
    return convert(read_json(path), OtherData, path, advice="evaluate on that data again")


CONFIDENCE_FILE = "confidence.json"


@dataclass(frozen=True, slots=True)
class AbstentionResult:
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
class CoverageResult:
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
class OutlierCounts:
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
        outliers: Out-of-distribution images; None if the model can't detect them.
        folds: 0 if the calibration set is the validation split; else the number of cross-validation models whose
            out-of-fold predictions on training and validation images form the calibration set.
    """

    n: int
    validation: int
    before: Calibration | None
    after: Calibration
    curve: tuple[tuple[float, float], ...]
    area: Score | None
    answers: tuple[AbstentionResult, ...]
    sets: tuple[CoverageResult, ...]
    outliers: OutlierCounts | None
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


MEASURED_SECONDS = 2.0
"""Minimum duration of a speed measurement in seconds, after the warm-up."""


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """Cost of training a model, without its baselines and its evaluation.

    Peak memory is that of the process, so that a run may report the peak of an earlier run in the same process.

    Attributes:
        reading_seconds: Time to find, decode and split the images and to compute a frozen backbone's features; short
            if the cache has them from earlier runs.
        fitting_seconds: Time from the initial weights to the saved model, including thresholds. For an interrupted run,
            only finished epochs count.
        peak_memory_bytes: Peak memory of the process; None if the system does not report it.
        device_memory_bytes: Peak memory of tensors on an accelerator; None without one.
        resumed: Whether the run was interrupted and resumed.
    """

    reading_seconds: float
    fitting_seconds: float
    peak_memory_bytes: int | None
    device_memory_bytes: int | None
    resumed: bool

    @property
    def seconds(self) -> float:
        """Total time of reading and fitting."""
        return self.reading_seconds + self.fitting_seconds


@dataclass(frozen=True, slots=True)
class PredictionCost:
    """Speed of prediction from files to labels, in one process.

    Attributes:
        images_per_second: Throughput of decoding, resizing and the model together.
        images: Number of predictions in the measurement; few images are predicted repeatedly.
        seconds: Duration of the measurement.
        device: The device of the network.
        precision: The floating-point format of the network.
        peak_memory_bytes: Peak memory of the process while it evaluated the test split.
    """

    images_per_second: float
    images: int
    seconds: float
    device: str
    precision: str
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class RunCost:
    """The content of ``cost.json``; None for parts that have not been measured."""

    training: TrainingCost | None = None
    prediction: PredictionCost | None = None


def read_cost(path: Path) -> RunCost:
    """Read ``cost.json``; an empty record if there is none, as in runs of older versions.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    if not path.exists():
        return RunCost()
    return read_record(path, RunCost, advice="move it away, and `distingo evaluate` measures again")


def write_cost(path: Path, **found: TrainingCost | PredictionCost) -> None:
    """Write ``training`` or ``prediction`` to ``cost.json`` and keep the other part."""
    cost = replace(read_cost(path), **found)  # type: ignore[arg-type]
    sections = {name: section for name, section in asdict(cost).items() if section is not None}
    write_json(path, {"format": FORMAT, **sections})
