"""How good the models are that doubt labels, how many labels look wrong, and how many of these would by chance.

Given labels are taken to be a mixture (`estimate_noise`): nearly all are drawn from the models' out-of-fold
probabilities, sharpened or softened by one slope; a share of them, the noise, is drawn evenly from all classes. Both
numbers are those of the greatest likelihood. An image that is hard to tell has a probability that says so, and its
label is explained without noise; a label that is next to impossible is not. The posterior probability of noise is a
local false discovery rate (Efron, Tibshirani, Storey and Tusher 2001): where it is one half and more, at most half of
the labels so doubted are expected to be right, and usually far fewer. Data without noise doubt no label: noise does not
raise their likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import numpy.typing as npt

from distingo.messages.notes import Note, note
from distingo.metrics.intervals import NORMAL_QUANTILE, wilson
from distingo.metrics.logits import log_softmax
from distingo.records import Task

Floats = npt.NDArray[np.float64]

MARGIN = 0.1
"""Models must close so much of the way from guessing to certainty, at the lower end of a 95 % interval."""

MOST_WRONG = 0.1
"""No more than this share of the images is held for wrongly labeled."""

FEW_MISTAKES = 0.02
"""Models that are right on all but so many of the images contradict no more labels than that, however few are wrong."""

SURE = 0.75
"""By so much more probable than the given class another one is where such models contradict a label."""

_SIGNIFICANT = 3.841458820694124  # the 95 % quantile of chi squared with one degree of freedom

_LEAST = 1e-6

_NEVER = -40.0
"""The log odds of no noise."""


@dataclass(frozen=True, slots=True)
class LabelBasis:
    """What doubts of labels rest on.

    Attributes:
        score: Of the models on images that they were not fitted on: accuracy; with several labels the mean area under
            the ROC curve.
        baseline: What always saying the most frequent class reaches; with several labels 0.5.
        gain: By how much the score exceeds it, at the lower end of a 95 % interval.
        low: Lower end of the score's 95 % interval.
        high: Upper end.
        n: How many images the score is of.
        is_better: Whether that is `MARGIN` of the way to a perfect score; if not, no label is doubted.
        noise: The share of labels that look as if drawn at random; 0 where that explains no more than chance does.
        wrong: How many images have a label that is more probably wrong than right; of models that hardly ever err, and
            where no noise shows, that is surely contradicted (`FEW_MISTAKES`, `SURE`).
        counted: How many of these count: `MOST_WRONG` of all at most.
        false_alarms: The share of those that count whose labels are expected to be right; 0 where none counts, None
            where they are too few to estimate it.
    """

    score: float
    baseline: float
    gain: float
    low: float
    high: float
    n: int
    is_better: bool
    noise: float = 0.0
    wrong: int = 0
    counted: int = 0
    false_alarms: float | None = 0.0

    @property
    def is_cut(self) -> bool:
        """Whether more labels look wrong than count."""
        return self.wrong > self.counted


def weigh_labels(probabilities: Floats, having: npt.NDArray[np.bool_], score: float, task: Task) -> LabelBasis:
    """Weigh labels against out-of-fold probabilities.

    Args:
        probabilities: Float64 (n, classes), of images with a label; with several labels of any.
        having: Bool (n, classes): the labels as they are.
        score: As in `LabelBasis`.
        task: One label per image, or several.
    """
    baseline, gain, low, high = _gain(probabilities, having, task)
    basis = LabelBasis(score, baseline, gain, min(low, score), max(high, score), len(having), is_better=False)
    if not len(having) or gain < MARGIN * (1 - baseline):
        return basis
    noise, posterior = estimate_noise(probabilities, having, task)
    if noise == 0 and task == "single-label" and score >= 1 - FEW_MISTAKES:
        excess = probabilities.max(axis=1) - probabilities[np.arange(len(having)), having.argmax(axis=1)]
        sure = int((excess >= SURE).sum())
        return replace(basis, is_better=True, wrong=sure, counted=sure, false_alarms=None if sure else 0.0)
    wrong = int((posterior >= 0.5).sum())
    counted = min(wrong, int(MOST_WRONG * len(having)))
    surest = np.sort(posterior)[len(posterior) - counted :]
    alarms = float(1 - surest.mean()) if counted else 0.0
    return replace(basis, is_better=True, noise=noise, wrong=wrong, counted=counted, false_alarms=alarms)


def estimate_noise(probabilities: Floats, having: npt.NDArray[np.bool_], task: Task) -> tuple[float, Floats]:
    """How large a share of labels is noise, and how probably each image has such a label.

    Args:
        probabilities: Float64 (n, classes), of models that were not fitted on the images.
        having: Bool (n, classes): the labels.
        task: One label per image, or several: then each label of an image is one of two classes.

    Returns:
        The share, and float64 (n,): the posterior probability of noise, with several labels of the most doubtful. Both
        are 0 where noise raises the likelihood by no more than chance does (a likelihood ratio test at 5 %).
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if task == "single-label":
        logits, given = np.log(np.clip(probabilities, _LEAST, 1)), having.argmax(axis=1)
        kinds, rows = having.shape[1], np.arange(len(having))

        def logarithms(slope: float) -> Floats:
            return np.asarray(log_softmax(slope * logits)[rows, given])
    else:
        inside = np.clip(probabilities, _LEAST, 1 - _LEAST)
        odds = np.where(having, 1.0, -1.0) * (np.log(inside) - np.log1p(-inside))
        kinds = 2

        def logarithms(slope: float) -> Floats:
            return np.asarray(-np.logaddexp(0, -slope * odds))

    def loss(packed: npt.NDArray[np.float64]) -> float:
        slope, share = float(np.exp(packed[0])), float(expit(max(packed[1], _NEVER)))
        return float(-np.logaddexp(np.log1p(-share) + logarithms(slope), np.log(share / kinds)).mean())

    options = {"xatol": 1e-4, "fatol": 1e-9, "maxiter": 400}
    plain = minimize(lambda slope: loss(np.array([slope[0], _NEVER])), [0.0], method="Nelder-Mead", options=options)
    starts = ([float(plain.x[0]), odds_of_noise] for odds_of_noise in (-6.0, -3.0))
    best = min((minimize(loss, start, method="Nelder-Mead", options=options) for start in starts), key=lambda m: m.fun)
    evaluated = len(having) if task == "single-label" else having.size
    if 2 * evaluated * (plain.fun - best.fun) < _SIGNIFICANT:
        return 0.0, np.zeros(len(having))
    slope, share = float(np.exp(best.x[0])), float(expit(best.x[1]))
    likely = (1 - share) * np.exp(logarithms(slope))
    posterior = share / kinds / (likely + share / kinds)
    return share, posterior if task == "single-label" else posterior.max(axis=1)


def describe_basis(basis: LabelBasis, task: Task) -> list[Note]:
    """What a person should know of doubted labels, or of why there are none."""
    single = task == "single-label"
    found = {"score": basis.score, "count": basis.n, "low": basis.low, "high": basis.high}
    worth = Note("right-on" if single else "area-on", found)
    floor = note("commonest-on" if single else "guessing-reaches", score=basis.baseline)
    if not basis.is_better:
        return [note("labels-not-doubted", worth=worth, floor=floor)]
    if not basis.counted:
        return [note("labels-as-chance", worth=worth, floor=floor)]
    alarms = note("alarms-unknown") if basis.false_alarms is None else note("alarms", share=basis.false_alarms)
    notes = [note("labels-look-wrong", count=basis.counted, alarms=alarms, worth=worth, floor=floor)]
    if basis.is_cut:
        notes.append(note("labels-cut", wrong=basis.wrong, count=basis.counted, most=MOST_WRONG))
    return notes


def _gain(probabilities: Floats, having: npt.NDArray[np.bool_], task: Task) -> tuple[float, float, float, float]:
    """The baseline, the lower end of the 95 % interval of what the models have over it, and both of their score's."""
    if not len(having):
        return 0.0, 0.0, 0.0, 1.0
    if task == "single-label":
        given = having.argmax(axis=1)
        most_frequent = given == np.bincount(given).argmax()
        right = probabilities.argmax(axis=1) == given
        gains = right.astype(np.float64) - most_frequent
        gain = float(gains.mean() - NORMAL_QUANTILE * gains.std() / sqrt(len(gains)))
        return float(most_frequent.mean()), gain, *wilson(int(right.sum()), len(right))
    areas, errors = _areas(probabilities, having)
    if not len(areas):
        return 0.5, 0.0, 0.0, 1.0
    spread = float(np.sqrt((errors**2).sum())) / len(areas)
    low, high = (float(areas.mean() + split * NORMAL_QUANTILE * spread) for split in (-1, 1))
    return 0.5, low - 0.5, max(low, 0.0), min(high, 1.0)


def _areas(probabilities: Floats, having: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Of each label that some have and some lack the area under the ROC curve and its standard error.

    The error is that of Hanley and McNeil, The meaning and use of the area under a ROC curve, 1982.
    """
    from sklearn.metrics import roc_auc_score

    mixed: Sequence[int] = np.flatnonzero(having.any(axis=0) & ~having.all(axis=0)).tolist()
    areas = np.array([roc_auc_score(having[:, at], probabilities[:, at]) for at in mixed], np.float64)
    yes = having[:, mixed].sum(axis=0).astype(np.float64)
    no = len(having) - yes
    first, second = areas / (2 - areas), 2 * areas**2 / (1 + areas)
    variance = areas * (1 - areas) + (yes - 1) * (first - areas**2) + (no - 1) * (second - areas**2)
    return areas, np.sqrt(np.maximum(variance, 0) / (yes * no))
