"""Pairwise comparison of runs and of recipes, image by image.

Runs are compared by their main score, by macro F1 and class by class; recipes by all their runs with different seeds.
Only runs that were evaluated on the same images can be compared.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.errors import RunError, option
from distingo.metrics.paired import (
    LEVEL,
    PairedDifference,
    PairedScore,
    RecipeDifference,
    images_for_accuracy,
    images_for_score,
    paired_difference,
    recipe_difference,
)
from distingo.metrics.paired_scores import ClassDifference, LabelPredictions, compare_classes, compare_labels
from distingo.runs.contents import RunRecords
from distingo.runs.predictions import Predicted
from distingo.scores import Evaluation


@dataclass(frozen=True, slots=True)
class VersusBest:
    """Comparison of a run with the best one on the same test images.

    Attributes:
        score: The main score, first of this run and then of the best. Single-label: with McNemar's exact p-value.
        adjusted_p_value: The p-value times the number of pairs of runs, at most 1 (Bonferroni). The best run was chosen
            on the same images, so its lead must hold among all possible pairs.
        paired: Single-label: how many images only one of the two got right.
        f1_macro: Macro F1 with a randomization test; None if every label is too rare.
        classes: Comparison per class or label.
        images_needed: Number of test images that would detect a difference of this size with a power of 80 %; None if
            there is no difference.
        same_recipe: Whether both runs have the same recipe and different seeds. Then even a significant difference is
            one between two models, due to random training, and not between recipes.
    """

    score: PairedScore
    adjusted_p_value: float
    paired: PairedDifference | None = None
    f1_macro: PairedScore | None = None
    classes: tuple[ClassDifference, ...] = ()
    images_needed: int | None = None
    same_recipe: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether the difference is significant and not between two trainings of one recipe."""
        return self.adjusted_p_value < LEVEL and not self.same_recipe


def pair_classes(run: RunRecords, best: RunRecords, *, pairs: int) -> VersusBest:
    """Compare two single-label runs.

    Args:
        run: A run.
        best: The best run, with the same test images in any order.
        pairs: Number of pairs of runs in the comparison.
    """
    files = [row.file for row in best.predictions]
    rows = {row.file: row for row in run.predictions}
    truth = [row.truth for row in best.predictions]
    predicted = [rows[file].predicted for file in files], [row.predicted for row in best.predictions]
    names = tuple(dict.fromkeys([*best.classes, *truth, *predicted[0], *predicted[1]]))
    numbers = _numbers(truth, names), _numbers(predicted[0], names), _numbers(predicted[1], names)
    right = numbers[1] == numbers[0], numbers[2] == numbers[0]
    paired = paired_difference(*right)
    by_class = compare_classes(*numbers, names)
    accuracies = right[0].mean().item(), right[1].mean().item()
    return VersusBest(
        score=PairedScore(
            *accuracies, paired.difference, paired.low, paired.high, paired.p_value, paired.n, paired.too_few
        ),
        adjusted_p_value=min(1.0, pairs * paired.p_value),
        paired=paired,
        f1_macro=by_class.f1_macro,
        classes=by_class.classes,
        images_needed=images_for_accuracy(paired.only_first, paired.only_second, paired.n, level=LEVEL / pairs),
    )


def pair_labels(run: Predicted, best: Predicted, labels: tuple[str, ...], *, pairs: int) -> VersusBest:
    """Compare two multi-label runs.

    Args:
        run: Predictions of a run.
        best: Predictions of the best run, for the same test images in any order.
        labels: Column names.
        pairs: Number of pairs of runs in the comparison.
    """
    run = run.of(best.files)
    comparison = compare_labels(best.truth, _label_predictions(run), _label_predictions(best), labels)
    score = comparison.scores["mean_average_precision_macro"]
    return VersusBest(
        score=score,
        adjusted_p_value=min(1.0, pairs * (1.0 if score.p_value is None else score.p_value)),
        f1_macro=comparison.scores["f1_macro"],
        classes=comparison.labels,
        images_needed=images_for_score(score.difference, score.low, score.high, score.n, level=LEVEL / pairs),
    )


def _label_predictions(predicted: Predicted) -> LabelPredictions:
    return LabelPredictions(predicted.probabilities, predicted.predicted)


def _numbers(names: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    indices = {name: index for index, name in enumerate(classes)}
    return np.array([indices[name] for name in names], dtype=np.int64)


NamedRun = tuple[str, RunRecords]


@dataclass(frozen=True, slots=True)
class ComparedRecipes:
    """Comparison of the best recipe with another one, including the random variation of training.

    Attributes:
        best: Names of the best recipe's runs.
        other: Names of the other recipe's runs; at least one of the two has several.
        result: The difference, with the best recipe first.
        adjusted_p_value: The p-value times the number of pairs of recipes, at most 1 (Bonferroni).
    """

    best: tuple[str, ...]
    other: tuple[str, ...]
    result: RecipeDifference
    adjusted_p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the recipes differ significantly, given the variation between images and trainings."""
        return self.adjusted_p_value < LEVEL


def group_by_recipe(runs: Sequence[NamedRun]) -> tuple[tuple[NamedRun, ...], ...]:
    """Group runs that were trained on the same images with recipes that differ only in the seed.

    Args:
        runs: The runs of one comparison.

    Returns:
        One group per recipe, in the order of the runs.
    """
    groups = defaultdict(list)
    for name, run in runs:
        recipe = {setting: value for setting, value in run.recipe.items() if setting != "seed"}
        groups[json.dumps(recipe, sort_keys=True, default=str), training_files(run)].append((name, run))
    return tuple(tuple(group) for group in groups.values())


def compare_recipes(groups: Sequence[Sequence[NamedRun]]) -> tuple[ComparedRecipes, ...]:
    """Compare the recipe that is best on average with each other one, if either was trained more than once.

    Args:
        groups: Groups from `group_by_recipe`, of single-label runs that were evaluated on the same images.
    """
    files = [row.file for row in groups[0][0][1].predictions]
    right = {_names(group): np.stack([_right(run, files) for _, run in group]) for group in groups}
    ranked = sorted(right, key=lambda names: -right[names].mean())
    pairs = len(ranked) * (len(ranked) - 1) // 2
    comparisons = []
    for names in ranked[1:]:
        if len(names) + len(ranked[0]) > 2:
            result = recipe_difference(right[ranked[0]], right[names])
            comparisons.append(ComparedRecipes(ranked[0], names, result, min(1.0, pairs * result.p_value)))
    return tuple(comparisons)


def training_files(run: RunRecords) -> frozenset[str]:
    """Files of a run's train split."""
    return frozenset(row.file for row in run.split if row.split == "train")


def _names(group: Sequence[NamedRun]) -> tuple[str, ...]:
    return tuple(name for name, _ in group)


def _right(run: RunRecords, files: Sequence[str]) -> npt.NDArray[np.bool_]:
    right = {row.file: row.truth == row.predicted for row in run.predictions}
    return np.array([right[file] for file in files], dtype=np.bool_)


def _advice() -> str:
    return (
        f"train both on the same {option('data')} with the same {option('seed')}, {option('validation')} and "
        f"{option('test')}, or with the same {option('split')}"
    )


@dataclass(frozen=True, slots=True)
class TestImage:
    """Labels and content hash of a test image; the hash is empty if the manifest has none."""

    __test__ = False

    labels: tuple[str, ...]
    content: str

    def is_same(self, other: TestImage | None) -> bool:
        """Whether the labels are equal, and the content hashes too if both are known."""
        if other is None or self.labels != other.labels:
            return False
        return not (self.content and other.content) or self.content == other.content


def require_same_classes(first: RunRecords, second: RunRecords) -> None:
    """Check that two runs have the same task and classes.

    Args:
        first: A run.
        second: Another run.

    Raises:
        RunError: They differ; the message names both runs and the difference.
    """
    for name, one, other in (
        ("tasks", first.task, second.task),
        ("classes", ", ".join(first.classes), ", ".join(second.classes)),
    ):
        if one != other:
            what = f"the {name} differ ({_short(one)} against {_short(other)})"
            raise RunError(f"{_both(first, second)}: {what}; {_advice()}", code="runs_differ")


def require_same_test(first: RunRecords, second: RunRecords) -> None:
    """Check that the test splits of two runs have the same task, classes, files, labels and contents.

    Args:
        first: An evaluated run.
        second: Another evaluated run.

    Raises:
        RunError: They differ; the message names both runs, the difference and the number of common images.
    """
    require_same_classes(first, second)
    first_split, second_split = test_split(first), test_split(second)
    if difference := _difference(first, second, first_split, second_split):
        common = sum(image.is_same(second_split.get(file)) for file, image in first_split.items())
        remedy = (
            f"{common:,} test pictures are the same in both, and {option('common', value=True)} evaluates on those; or "
            if common
            else ""
        )
        raise RunError(f"{_both(first, second)}: {difference}; {remedy}{_advice()}", code="runs_differ")


def _difference(
    first: RunRecords, second: RunRecords, first_split: dict[str, TestImage], second_split: dict[str, TestImage]
) -> str:
    """Description of the first difference between two test splits; empty if there is none."""
    for run, only in (
        (first, first_split.keys() - second_split.keys()),
        (second, second_split.keys() - first_split.keys()),
    ):
        if only:
            return (
                f"{min(only)}, a test picture of {run.folder}, is not on the other's test split ({len(only):,} in all)"
            )
    for file in sorted(first_split):
        if first_split[file].labels != second_split[file].labels:
            one, other = (", ".join(split[file].labels) for split in (first_split, second_split))
            return f"the test picture {file} is {one} in one and {other} in the other"
        if not first_split[file].is_same(second_split[file]):
            return f"the test picture {file} has another content in each"
    return ""


def _both(first: RunRecords, second: RunRecords) -> str:
    return f"{first.folder} and {second.folder} can't be compared"


def require_own_evaluation(run: RunRecords) -> Evaluation:
    """Check that a run's scores and predictions exist and belong to its own test split.

    Args:
        run: The run. Its predictions are checked for single-label tasks only.

    Returns:
        Its evaluation.

    Raises:
        RunError: The records are missing or inconsistent; the message names the run and the fix.
    """
    again = f"`distingo evaluate {run.folder}` evaluates it {'again' if run.evaluation else 'first'}"
    if run.evaluation is None:
        raise RunError(f"{run.folder}: not evaluated on test pictures yet; {again}", code="not_evaluated")
    split = test_split(run)
    if run.evaluation.n != len(split):
        raise RunError(
            f"{run.folder}: evaluation.json tells of {run.evaluation.n} test pictures and split.csv of {len(split)}; "
            f"{again}",
            code="records_differ",
        )
    if run.task == "single-label":
        _require_own_predictions(run, run.evaluation, split, again)
    return run.evaluation


def _require_own_predictions(run: RunRecords, evaluation: Evaluation, split: dict[str, TestImage], again: str) -> None:
    if not run.predictions:
        raise RunError(f"{run.folder}: holds no predictions.parquet; {again}", code="not_evaluated")
    predicted = {row.file: row.truth for row in run.predictions}
    if predicted.keys() != split.keys() or len(predicted) != len(run.predictions):
        raise RunError(
            f"{run.folder}: predictions.parquet and split.csv name different test pictures; {again}",
            code="records_differ",
        )
    for file, truth in predicted.items():
        if split[file].labels != (truth,):
            raise RunError(
                f"{run.folder}: predictions.parquet and split.csv disagree on the class of {file}; {again}",
                code="records_differ",
            )
    right = sum(row.truth == row.predicted for row in run.predictions)
    accuracy = evaluation.scores.get("accuracy")
    if accuracy is not None and round(accuracy.value * evaluation.n) != right:
        raise RunError(
            f"{run.folder}: predictions.parquet and evaluation.json give different accuracies; {again}",
            code="records_differ",
        )


def test_split(run: RunRecords) -> dict[str, TestImage]:
    """The images of a run's test split, by file."""
    contents = {row.file: row.content for row in run.manifest}
    return {row.file: TestImage(row.labels, contents.get(row.file, "")) for row in run.split if row.split == "test"}


def _short(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
