"""Records and folder of a cross-validation: the plan, the finished folds, and the summary ``crossval.json``."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path

import numpy as np

from distingo.checksums import TensorEntry, write_tensors
from distingo.errors import RunError, option
from distingo.files import atomic_writer, require_intact_tensors, write_json
from distingo.messages.notes import Note
from distingo.records import NO_VALUE_RANGES, Task, ValueRanges
from distingo.runs.config import RunConfig, read_config_file
from distingo.runs.data import NearDuplicateCounts
from distingo.runs.fields import Plain, read_record, write_record
from distingo.runs.folder import FORMAT, RunFolder
from distingo.scores import Evaluation, Score, Thresholds


@dataclass(frozen=True, slots=True)
class FoldResult:
    """Result of a finished fold.

    Attributes:
        train: Number of images in the train split.
        validation: Number of images in the validation split.
        seconds: Duration of training, baselines and prediction.
        probabilities: Probabilities of the fold's images by model name, float32 (n, classes) each.
        thresholds: Decision thresholds by model name for multi-label tasks, otherwise empty.
    """

    train: int
    validation: int
    seconds: float
    probabilities: dict[str, np.ndarray]
    thresholds: dict[str, Thresholds]


@dataclass(frozen=True, slots=True)
class CrossValidationFolder:
    """Paths inside the folder of a cross-validation.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @property
    def plan(self) -> Path:
        """Requested and chosen options; written first, so its presence marks the folder."""
        return self.path / "plan.json"

    @property
    def summary(self) -> Path:
        """All scores; written when all folds are finished."""
        return self.path / "crossval.json"

    @property
    def manifest(self) -> Path:
        """Status of every file of the data set."""
        return self.path / "manifest.csv"

    @property
    def near_duplicates(self) -> Path:
        """Result of the search for near-duplicates, including those in different folds."""
        return self.path / "near_duplicates.json"

    @property
    def predictions(self) -> Path:
        """Every image's out-of-fold probabilities."""
        return self.path / "predictions.parquet"

    @property
    def page(self) -> Path:
        """The report page."""
        return self.path / "crossval.html"

    def division(self, repeat: int) -> Path:
        """Split file with the fold of each image, which `train` accepts too."""
        return self.path / ("folds.csv" if repeat == 1 else f"folds-{repeat}.csv")

    def fold(self, repeat: int, number: int) -> RunFolder:
        """Working folder of one fold."""
        return RunFolder(self.path / "folds" / f"{repeat}-{number}")

    def read_plan(self) -> RunConfig:
        """Read the requested and chosen options.

        Raises:
            RunError: The plan is missing, damaged, or written by a newer version.
        """
        if not self.plan.is_file():
            raise RunError(
                f"{self.path}: holds no cross-validation; leave {option('resume', value=True)} out to start one",
                code="wrong_folder",
                parameter="resume",
            )
        return read_config_file(self.plan, required=("data", "recipe", "folds", "repeats"))

    def describe_interruption(self) -> str:
        """Message for a user who interrupted the cross-validation."""
        if self.plan.is_file():
            return f"stopped; `distingo crossval -o {self.path} --resume` continues, finished folds are kept"
        return "stopped before the first fold; nothing was trained"


@dataclass(frozen=True, slots=True)
class _FoldFile:
    """The content of ``fold.json``."""

    train: int
    validation: int
    seconds: float
    thresholds: dict[str, tuple[float, ...]]


def write_fold(folder: RunFolder, result: FoldResult) -> None:
    """Write a fold's probabilities and then ``fold.json``, whose presence marks the fold as finished.

    Checkpoints are removed, as they are no longer needed.
    """
    with atomic_writer(folder.path / "probabilities.safetensors") as file:
        write_tensors(file, {name: TensorEntry.from_array(array) for name, array in result.probabilities.items()})
    thresholds = {name: chosen.values for name, chosen in result.thresholds.items()}
    write_record(folder.path / "fold.json", _FoldFile(result.train, result.validation, result.seconds, thresholds))
    shutil.rmtree(folder.last_checkpoint.parent, ignore_errors=True)


def read_fold(folder: RunFolder, shape: tuple[int, int]) -> FoldResult | None:
    """Read a finished fold; None if it is not finished.

    Args:
        folder: As for `write_fold`.
        shape: Expected shape of the probabilities: (images of the fold, classes).

    Raises:
        RunError: A file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder.path / "fold.json"
    if not path.is_file():
        return None
    stored = read_record(path, _FoldFile, advice=f"remove {folder.path} to have this fold computed again")
    thresholds = {name: Thresholds(values, "f1") for name, values in stored.thresholds.items()}
    try:
        require_intact_tensors(folder.path / "probabilities.safetensors")
        probabilities = load_file(folder.path / "probabilities.safetensors")
        if any(array.shape != shape for array in probabilities.values()):
            raise ValueError(f"probabilities are not of shape {shape}")
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(
            f"{folder.path}: damaged ({error}); remove it to have this fold computed again", code="damaged_file"
        ) from error
    return FoldResult(stored.train, stored.validation, stored.seconds, probabilities, thresholds)


MAIN_SCORES: dict[Task, str] = {"single-label": "accuracy", "multi-label": "mean_average_precision_macro"}
"""The main score by task; higher is better."""

_UNBOUNDED = ("log_loss", "coverage_error")


@dataclass(frozen=True, slots=True)
class FoldScores:
    """One fold, evaluated by a model that was trained on the others.

    Attributes:
        repeat: Number of the division into folds, counted from 1.
        fold: Number of the fold in the division, counted from 1.
        train: Number of images in the train split.
        validation: Number of images in the validation split.
        test: Number of images in the fold.
        seconds: Duration of training, baselines and prediction.
        scores: Scores by name.
        baselines: Scores by model name and score name.
    """

    repeat: int
    fold: int
    train: int
    validation: int
    test: int
    seconds: float
    scores: dict[str, float]
    baselines: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Scores of a recipe, evaluated on every image of a data set.

    Attributes:
        data: Path that the images were read from.
        root: Base folder of the file names.
        task: ``single-label`` or ``multi-label``.
        classes: Class names.
        model: The model's name, without folders.
        mode: ``frozen``, ``finetune`` or ``scratch``; ``classic`` for a classic model.
        n: Number of evaluated images.
        groups: Number of groups of images that belong together; a group is always in one fold.
        folds: One entry per fold, repeat by repeat.
        means: Scores by name, the mean over all folds with its corrected resampled t interval
            (`distingo.metrics.intervals.corrected_mean`).
        baseline_means: The same by model name.
        gains: By model name, the mean over folds of the improvement of the main score over that baseline, with its
            interval.
        pooled: The scores of all images' out-of-fold predictions together, with 95 % intervals over images.
        notes: Notes for the user.
        choices: Automatic choices and their reasons.
        recipe: All settings.
        seconds: Duration of the last call, without folds that were finished earlier.
        value_ranges: Ranges by which images with more than 8 bits were scaled.
        near_duplicates: Result of the search for near-duplicates; None if an older version started it.
    """

    data: Path
    root: Path
    task: Task
    classes: tuple[str, ...]
    model: str
    mode: str
    n: int
    groups: int
    folds: tuple[FoldScores, ...]
    means: dict[str, Score]
    baseline_means: dict[str, dict[str, Score]]
    gains: dict[str, Score]
    pooled: Evaluation
    notes: tuple[Note, ...]
    choices: tuple[Note, ...]
    recipe: dict[str, Plain]
    seconds: float
    value_ranges: ValueRanges = NO_VALUE_RANGES
    near_duplicates: NearDuplicateCounts | None = None

    def __repr__(self) -> str:
        mean = self.means.get(self.main_score)
        score = "" if mean is None else f", mean {self.main_score} {mean:.4g} ({mean.low:.4g} to {mean.high:.4g})"
        return f"CrossValidation({self.model!r}, {len(self.folds)} folds, n={self.n}{score})"

    @property
    def main_score(self) -> str:
        """Name of the main score."""
        return MAIN_SCORES[self.task]

    @property
    def repeats(self) -> int:
        """Number of divisions into folds."""
        return max(fold.repeat for fold in self.folds)

    @property
    def folds_each(self) -> int:
        """Number of folds of each division."""
        return max(fold.fold for fold in self.folds)


def bounds_of(score: str) -> tuple[float, float]:
    """Lowest and highest possible value of a score."""
    return (0.0, inf) if score in _UNBOUNDED else (0.0, 1.0)


def write_cross_validation(result: CrossValidation, path: Path) -> None:
    """Write ``crossval.json``.

    Raises:
        ResourceError: It can't be written.
    """
    content = {**asdict(result), "data": str(result.data), "root": str(result.root)}
    content["value_ranges"] = result.value_ranges.to_json()
    if result.near_duplicates is not None:
        del content["near_duplicates"]["files"]  # near_duplicates.json has them
    write_json(path, {"format": FORMAT, "main_score": result.main_score, **content})
