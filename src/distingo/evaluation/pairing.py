"""A run beside the best one, picture by picture: by the main score, by macro F1, and class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.evaluation.predicted import Predicted
from distingo.evaluation.reading import RunRecords
from distingo.metrics.multiple_comparisons import LEVEL, pictures_for_accuracy, pictures_for_score
from distingo.metrics.paired import PairedDifference, paired_difference
from distingo.metrics.paired_classes import ClassDifference, compare_classes
from distingo.metrics.paired_labels import LabelAnswers, compare_labels
from distingo.metrics.paired_scores import PairedScore


@dataclass(frozen=True, slots=True)
class VersusBest:
    """A run beside the best one on the same test pictures.

    Attributes:
        score: The main score, this run's first and the best's second. With one label per picture its p-value is
            McNemar's exact one.
        adjusted_p_value: The p-value times the number of pairs of runs, at most 1 (Bonferroni): the best run was
            found on these same pictures, so its lead must hold among all pairs that could have been looked at.
        paired: With one label per picture, how many pictures only one of the two got right.
        f1_macro: Macro F1, with a randomisation test; None where every label is too rare for one.
        classes: Class by class, or label by label.
        pictures_needed: How many test pictures would show a difference of this size four times in five; None where
            there is none.
        same_recipe: Whether this run and the best are one recipe trained with other seeds: then even a difference that
            the test pictures prove is one between two models, found by luck, and not one between recipes.
    """

    score: PairedScore
    adjusted_p_value: float
    paired: PairedDifference | None = None
    f1_macro: PairedScore | None = None
    classes: tuple[ClassDifference, ...] = ()
    pictures_needed: int | None = None
    same_recipe: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether the difference is more than chance explains, and not between two trainings of one recipe."""
        return self.adjusted_p_value < LEVEL and not self.same_recipe


def pair_classes(run: RunRecords, best: RunRecords, *, pairs: int) -> VersusBest:
    """Pair two runs with one label per picture.

    Args:
        run: One of them.
        best: The other, with the same test pictures in any order.
        pairs: How many pairs of runs there are.
    """
    files = [row.file for row in best.predictions]
    rows = {row.file: row for row in run.predictions}
    truth = [row.truth for row in best.predictions]
    said = [rows[file].predicted for file in files], [row.predicted for row in best.predictions]
    names = tuple(dict.fromkeys([*best.classes, *truth, *said[0], *said[1]]))
    numbers = _numbers(truth, names), _numbers(said[0], names), _numbers(said[1], names)
    right = numbers[1] == numbers[0], numbers[2] == numbers[0]
    paired = paired_difference(*right)
    by_class = compare_classes(*numbers, names)
    means = right[0].mean().item(), right[1].mean().item()
    return VersusBest(
        score=PairedScore(*means, paired.difference, paired.low, paired.high, paired.p_value, paired.n, paired.too_few),
        adjusted_p_value=min(1.0, pairs * paired.p_value),
        paired=paired,
        f1_macro=by_class.f1_macro,
        classes=by_class.classes,
        pictures_needed=pictures_for_accuracy(paired.only_first, paired.only_second, paired.n, level=LEVEL / pairs),
    )


def pair_labels(run: Predicted, best: Predicted, labels: tuple[str, ...], *, pairs: int) -> VersusBest:
    """Pair two runs with several labels per picture.

    Args:
        run: One of them.
        best: The other, with the same test pictures in any order.
        labels: Names of the columns.
        pairs: How many pairs of runs there are.
    """
    run = run.of(best.files)
    found = compare_labels(best.truth, _answers(run), _answers(best), labels)
    score = found.scores["mean_average_precision_macro"]
    return VersusBest(
        score=score,
        adjusted_p_value=min(1.0, pairs * (1.0 if score.p_value is None else score.p_value)),
        f1_macro=found.scores["f1_macro"],
        classes=found.labels,
        pictures_needed=pictures_for_score(score.difference, score.low, score.high, score.n, level=LEVEL / pairs),
    )


def _answers(predicted: Predicted) -> LabelAnswers:
    return LabelAnswers(predicted.probabilities, predicted.said)


def _numbers(names: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[name] for name in names], dtype=np.int64)
