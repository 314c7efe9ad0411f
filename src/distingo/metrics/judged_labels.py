"""Labels that were judged, arranged so that all scores and their intervals are counted in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distingo.metrics.ranking import Ranking, label_ranks, top_k_hits

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

MIN_POSITIVES = 5
"""A label that fewer judged pictures have is in no macro score: its own scores would be luck."""

TOP_K = (1, 3)
"""The k of the top-k hits; only those below the number of labels are given."""


FIXED_THRESHOLD = 0.5
"""What thresholds of the labels' own are compared with."""


@dataclass(frozen=True, slots=True)
class JudgedLabels:
    """All that the scores and their intervals are counted from.

    Attributes:
        truth: Bool (n, labels).
        predicted: Bool (n, labels).
        likely: Bool (n, labels): what a threshold of 0.5 for every label would give.
        kept: Bool (labels,): which labels are in macro scores.
        means: Scores that are means over pictures, by name; float64 (n,) each.
        hits: Scores that are means over pictures with labels, likewise.
        rankings: One per label.
        pooled: The ranking of all cells.
    """

    truth: Booleans
    predicted: Booleans
    likely: Booleans
    kept: Booleans
    means: dict[str, Floats]
    hits: dict[str, Floats]
    rankings: tuple[Ranking, ...]
    pooled: Ranking

    @classmethod
    def of(cls, truth: Booleans, chances: npt.NDArray[Any], predicted: Booleans) -> Self:
        """Arrange truth, probabilities and predicted labels of shape (n, labels) each."""
        pictures, labels = truth.shape
        pictures_of_cells = np.repeat(np.arange(pictures), labels)
        return cls(
            truth=truth,
            predicted=predicted,
            likely=chances >= FIXED_THRESHOLD,
            kept=truth.sum(axis=0) >= MIN_POSITIVES,
            means=_means(truth, chances, predicted),
            hits={f"top_{k}_hit": top_k_hits(truth, chances, k).astype(np.float64) for k in TOP_K if k < labels},
            rankings=tuple(Ranking.of(truth[:, label], chances[:, label]) for label in range(labels)),
            pooled=Ranking.of(truth.ravel(), chances.ravel(), pictures_of_cells),
        )


def _means(truth: Booleans, chances: npt.NDArray[Any], predicted: Booleans) -> dict[str, Floats]:
    precision, coverage = label_ranks(truth, chances)
    wrong = (truth != predicted).mean(axis=1)
    both = 2 * (truth & predicted).sum(axis=1)
    return {
        "f1_samples": _divide(both, truth.sum(axis=1) + predicted.sum(axis=1)),
        "label_ranking_average_precision": precision,
        "coverage_error": coverage,
        "hamming_loss": wrong,
        "exact_match": (truth == predicted).all(axis=1).astype(np.float64),
        "log_loss": _log_losses(truth, chances),
        "label_accuracy": (truth == predicted).mean(axis=1),
        "label_accuracy_of_nothing": (~truth).mean(axis=1),
    }


def _log_losses(truth: Booleans, chances: npt.NDArray[Any]) -> Floats:
    """Each picture's binary cross-entropy, probabilities kept off 0 and 1 by one epsilon as in scikit-learn."""
    epsilon = np.finfo(chances.dtype).eps
    of_truth = np.clip(np.where(truth, chances, 1 - chances), epsilon, 1 - epsilon)
    losses: Floats = -np.log(of_truth.astype(np.float64)).mean(axis=1)
    return losses


def _divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any], nothing: float = 0.0) -> Floats:
    quotients: Floats = np.full(np.shape(numerator), nothing, dtype=np.float64)
    np.divide(numerator, denominator, out=quotients, where=denominator != 0)
    return quotients
