"""The records of a cross-validation, and ``crossval.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

from distingo.files import write_json
from distingo.near_duplicates.records import NearDuplicateCounts
from distingo.records import NO_VALUE_RANGES, Evaluation, Score, Task, ValueRanges
from distingo.run_folder import FORMAT

MAIN_SCORES: dict[Task, str] = {"single-label": "accuracy", "multi-label": "mean_average_precision_macro"}
"""By task, the score that stands for all others; higher is better."""

_UNBOUNDED = ("log_loss", "coverage_error")


@dataclass(frozen=True, slots=True)
class FoldScores:
    """One fold, judged by a model that was trained on the others.

    Attributes:
        repeat: Which division into folds, counted from 1.
        fold: Which fold of it, counted from 1.
        train: How many pictures were learned from.
        validation: How many were chosen by.
        test: How many the fold has.
        seconds: For training, baselines and prediction.
        scores: By name.
        baselines: By model name, then by score name.
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
    """What a recipe is worth, judged on every picture of a data set.

    Attributes:
        data: What the pictures were read from.
        root: The folder that names of files are relative to.
        task: One label per picture, or several.
        classes: Class names.
        model: The model's name, without folders.
        mode: ``frozen``, ``finetune`` or ``scratch``; ``classic`` for a model that is no network.
        n: How many pictures were judged.
        groups: How many groups they form: what belongs together is always on one fold.
        folds: One entry per fold, repeat by repeat.
        means: By score name, the mean over all folds with its corrected resampled t interval
            (`distingo.metrics.resampled_t.corrected_mean`).
        baseline_means: The same by model name.
        gains: By model name, the mean over folds of how much the main score is above that baseline's, likewise.
        pooled: The scores of all pictures' out-of-fold predictions together, with 95 % intervals over pictures.
        notes: What a person should know.
        choices: What was chosen for the person, and why.
        recipe: All settings.
        seconds: For all of it, as far as it was done at once.
        value_ranges: What the stored values of deep images were scaled by.
        near_duplicates: What was searched for and found; None where an older version began.
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
    notes: tuple[str, ...]
    choices: tuple[str, ...]
    recipe: dict[str, Any]
    seconds: float
    value_ranges: ValueRanges = NO_VALUE_RANGES
    near_duplicates: NearDuplicateCounts | None = None

    @property
    def main_score(self) -> str:
        """The name of the score that stands for all others."""
        return MAIN_SCORES[self.task]

    @property
    def repeats(self) -> int:
        """How many divisions into folds there are."""
        return max(fold.repeat for fold in self.folds)

    @property
    def folds_each(self) -> int:
        """How many folds each division has."""
        return max(fold.fold for fold in self.folds)


def bounds_of(score: str) -> tuple[float, float]:
    """The least and the greatest value that a score can have."""
    return (0.0, inf) if score in _UNBOUNDED else (0.0, 1.0)


def write_cross_validation(found: CrossValidation, path: Path) -> None:
    """Write ``crossval.json``.

    Raises:
        ResourceError: It can't be written.
    """
    content = {**asdict(found), "data": str(found.data), "root": str(found.root)}
    content["value_ranges"] = found.value_ranges.to_json()
    if found.near_duplicates is not None:
        del content["near_duplicates"]["files"]  # near_duplicates.json has them
    write_json(path, {"format": FORMAT, "main_score": found.main_score, **content})
