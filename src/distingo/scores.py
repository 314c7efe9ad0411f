"""Scores with confidence intervals, and the records that hold them: evaluations and predictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Literal

from distingo.messages.notes import Note
from distingo.records import SplitName, Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Score:
    """A score with its n and its 95 % interval; it behaves like the number `value`.

    ``float(score)``, ``round(score, 2)``, ``score > 0.9``, ``score - other``, ``max(scores)`` and ``f"{score:.1%}"``
    use `value` alone; the result of a computation is a plain float, without an interval. A score equals a number if its
    value does, and another score only if all fields are equal.

    Attributes:
        value: The score.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        n: Number of images it was computed on.
        too_few: Whether there are too few images for a reliable interval; pages then show a remark in its place. False
            in files of older versions.
    """

    value: float
    low: float
    high: float
    n: int
    too_few: bool = False

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        interval = "too few for an interval" if self.too_few else f"95% interval {self.low:.4g} to {self.high:.4g}"
        return f"{self.value:.4g} ({interval}, n={self.n})"

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Score):
            return self._fields() == other._fields()
        return bool(self.value == other) if isinstance(other, Real) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)  # equal to the hash of the number that it equals

    def __lt__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value < number)

    def __le__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value <= number)

    def __gt__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value > number)

    def __ge__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value >= number)

    def __round__(self, digits: int | None = None) -> float:
        return round(float(self), digits)

    def __abs__(self) -> float:
        return abs(float(self))

    def __neg__(self) -> float:
        return -float(self)

    def __add__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) + number

    __radd__ = __add__

    def __sub__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) - number

    def __rsub__(self, other: float) -> float:
        number = _number(other)
        return NotImplemented if number is None else number - float(self)

    def __mul__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) * number

    __rmul__ = __mul__

    def __truediv__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) / number

    def __rtruediv__(self, other: float) -> float:
        number = _number(other)
        return NotImplemented if number is None else number / float(self)

    def _fields(self) -> tuple[float, float, float, int, bool]:
        return self.value, self.low, self.high, self.n, self.too_few


def _number(other: object) -> float | None:
    """Convert a score or number to a float; None for anything else."""
    return float(other) if isinstance(other, Score | Real) else None


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Precision, recall, F1 and support of one class (scikit-learn's definitions)."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class BinaryConfusion:
    """Confusion matrix of one label, in images."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Scores of a multi-label model on one label (scikit-learn's definitions, with ``zero_division=0``).

    Attributes:
        name: The label.
        average_precision: Independent of the threshold; None if no evaluated image has the label.
        precision: At the threshold.
        recall: At the threshold.
        f1: At the threshold.
        support: Number of evaluated images with the label.
        threshold: The label's decision threshold, a probability.
        two_by_two: The label's confusion matrix at the threshold.
    """

    name: str
    average_precision: Score | None
    precision: float
    recall: float
    f1: float
    support: int
    threshold: float
    two_by_two: BinaryConfusion


ThresholdAim = Literal["f1", "precision", "recall"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Decision thresholds of a multi-label model.

    Attributes:
        values: One per label, in the order of the model's classes; a label is predicted if its probability is at or
            above its threshold.
        aim: The score that the thresholds were chosen for on the validation split.
        wanted: The requested precision or recall; None for ``f1``.
        notes: Warnings about labels with too few positives for a threshold of their own, or that do not reach the
            requested precision or recall.
    """

    values: tuple[float, ...]
    aim: ThresholdAim
    wanted: float | None = None
    notes: tuple[Note, ...] = ()


_FIRST_SCORES = ("accuracy", "mean_average_precision_macro")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on one split of a data set (the content of ``evaluation.json``).

    Attributes:
        split: The evaluated split.
        n: Number of evaluated images.
        classes: Class names, in the order of the confusion matrix.
        scores: By name: ``accuracy``, ``top_5_accuracy``, ``f1_macro``, ``precision_macro``, ``log_loss`` ...;
            multi-label: ``mean_average_precision_macro``, ``f1_samples``, ``hamming_loss`` ...
        per_class: One entry per class; empty for multi-label.
        confusion: Confusion matrix of counts, rows true and columns predicted; empty for multi-label.
        baselines: Scores by baseline name, then by score name.
        notes: Warnings about the scores.
        task: Single-label or multi-label.
        per_label: Multi-label: one entry per label.
        left_out: Multi-label: labels with too few positives to evaluate; they are excluded from the macro scores.
        thresholds: Multi-label: the decision thresholds.
        accuracy_gains: Single-label: the accuracy minus that of each baseline, by baseline name, with the 95 %
            interval of the paired difference.
    """

    split: SplitName
    n: int
    classes: tuple[str, ...]
    scores: dict[str, Score]
    per_class: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    baselines: dict[str, dict[str, Score]]
    notes: tuple[Note, ...] = ()
    task: Task = "single-label"
    per_label: tuple[LabelScores, ...] = ()
    left_out: tuple[str, ...] = ()
    thresholds: Thresholds | None = None
    accuracy_gains: dict[str, Score] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The main score with its interval; empty if there are no scores."""
        name = next((name for name in _FIRST_SCORES if name in self.scores), next(iter(self.scores), None))
        if name is None:
            return ""
        score = self.scores[name]
        interval = "" if score.too_few else f" ({score.low:.1%} to {score.high:.1%})"
        return f"{name} {score:.1%}{interval}" if name in _FIRST_SCORES else f"{name} {score:.4g}"

    def to_pandas(self, what: Literal["scores", "classes", "confusion"] = "scores") -> pd.DataFrame:
        """Convert to a pandas data frame.

        Args:
            what: ``scores``: a row for each score of the model and then of each baseline (columns ``model``, ``score``,
                ``value``, ``low``, ``high``, ``n``, ``too_few``); ``classes``: a row for each class (multi-label: with
                average precision and threshold); ``confusion``: counts, rows true and columns predicted.

        Raises:
            UsageError: There is no such table, or pandas is not installed.
        """
        from distingo.notebooks import evaluation_to_pandas

        return evaluation_to_pandas(self, what)

    def __repr__(self) -> str:
        return f"Evaluation({self._summary})"

    def _repr_html_(self) -> str:
        from distingo.notebooks import show_evaluation

        return show_evaluation(self, self._summary)

    @property
    def _summary(self) -> str:
        kind = "classes" if self.task == "single-label" else "labels"
        parts = [f"{self.split} split", f"n={self.n}", f"{len(self.classes)} {kind}", self.headline]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's prediction for one image.

    Attributes:
        file: The image, as the caller named it.
        labels: Class names, most probable first. At most `topk` if that was requested; else all classes of a
            single-label model, and the labels of a multi-label model that reach their thresholds, perhaps none.
        probabilities: One per label in `labels`; those of all classes of a single-label model sum to 1.
        error: Why the image could not be read, in which case there are no labels and probabilities; else empty.
        given: Predicted labels of a multi-label model, most probable first, independent of `topk`; None for
            single-label. If a maximum error rate was requested, only labels with enough confidence for it.
        abstained: Whether the confidence is too low for the requested maximum error rate; multi-label: too low for
            every label that reaches its threshold. None if no rate was requested.
        prediction_set: Labels that together have the requested coverage of the true labels, most probable first,
            perhaps none; None if no coverage was requested.
        unlike: Whether the image is out of distribution; None if the model can't detect that.
    """

    file: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    error: str = ""
    given: tuple[str, ...] | None = None
    abstained: bool | None = None
    prediction_set: tuple[str, ...] | None = None
    unlike: bool | None = None

    @property
    def label(self) -> str:
        """The most probable class; empty if there is none or the image could not be read."""
        return self.labels[0] if self.labels else ""

    @property
    def confidence(self) -> float:
        """The probability of the most probable class; 0.0 if there is none."""
        return self.probabilities[0] if self.probabilities else 0.0

    def __repr__(self) -> str:
        name = repr(_shorten(self.file))
        if self.error:
            return f"Prediction({name}, error={_shorten(self.error)!r})"
        ranked = [
            f"{_shorten(label)!r} {probability:.1%}"
            for label, probability in zip(self.labels[:_REPR_LABELS], self.probabilities, strict=False)
        ]
        remaining = len(self.labels) - _REPR_LABELS
        marks = [f"{remaining:,} more"] if remaining > 0 else []
        marks += ["abstained"] if self.abstained else []
        marks += ["unlike training"] if self.unlike else []
        return f"Prediction({', '.join([name, *(ranked or ['no label']), *marks])})"


_REPR_LABELS = 3


def _shorten(text: str, max_length: int = 60) -> str:
    return text if len(text) <= max_length else f"...{text[3 - max_length :]}"
