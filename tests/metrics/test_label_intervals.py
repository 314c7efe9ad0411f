"""Intervals of average precision and of scores at thresholds, from what each image moves them by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import average_precision_score, f1_score

from distingo.metrics.label_intervals import EvaluatedLabels, mean_precision, precision_estimates, threshold_estimates
from distingo.metrics.multi_label import multi_label_scores
from distingo.metrics.ranking import Ranking


def drawn(n: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores in twentieths, so that many are equal."""
    generator = np.random.default_rng(seed)
    truth = generator.random((n, labels)) < 0.3
    return truth, np.round(np.clip(generator.random((n, labels)) * 0.7 + 0.3 * truth, 0, 1) * 20) / 20


def test_leaving_out_each_image_gives_scikit_learns_scores_without_it() -> None:
    truth, chances = (table[:, 0] for table in drawn(60, 1, 0))
    value, without = Ranking.of(truth, chances).leave_one_out(60)
    assert value == pytest.approx(average_precision_score(truth, chances))
    for image in range(60):
        rest = np.delete(truth, image), np.delete(chances, image)
        assert without[image] == pytest.approx(average_precision_score(*rest), abs=1e-12)


def test_the_influence_on_the_pooled_order_is_the_derivative_by_weights() -> None:
    truth, chances = drawn(40, 3, 1)
    owners = np.repeat(np.arange(40), 3)
    value, moved = Ranking.of(truth.ravel(), chances.ravel(), owners).influence(40)
    assert value == pytest.approx(average_precision_score(truth.ravel(), chances.ravel()))
    for image in range(40):
        weights = np.ones(40)
        weights[image] += 1e-6
        more = average_precision_score(truth.ravel(), chances.ravel(), sample_weight=np.repeat(weights, 3))
        assert moved[image] == pytest.approx((more - value) / 1e-6 * 40, abs=1e-3)


def test_scores_at_thresholds_move_as_their_derivatives() -> None:
    truth, chances = drawn(50, 3, 2)
    evaluated = EvaluatedLabels.of(truth, chances, chances >= 0.5)
    estimate = threshold_estimates(evaluated)["f1_macro"]
    for image in range(50):
        weights = np.ones(50)
        weights[image] += 1e-6
        more = f1_score(truth, chances >= 0.5, average="macro", sample_weight=weights)
        assert estimate.moved[image] == pytest.approx((more - estimate.value) / 1e-6 * 50, abs=1e-3)


@pytest.mark.slow
def test_the_bias_of_few_positives_is_taken_off() -> None:
    """Eight positives among 720 at distance 2: the mean score is 0.05 too high, the interval's middle is not."""
    generator = np.random.default_rng(3)
    grid = np.linspace(-8, 12, 20_001)
    found = 8 / 720 * ndtr(2 - grid)
    precision = found / (found + 712 / 720 * ndtr(-grid))
    truth = float((precision * np.exp(-((grid - 2) ** 2) / 2)).sum() / np.sqrt(2 * np.pi) * (grid[1] - grid[0]))
    is_positive = np.arange(720)[:, None] < 8
    estimates = []
    for _ in range(800):
        scores = ndtr(generator.normal(size=(720, 1)) + 2 * is_positive)
        estimates.append(precision_estimates(EvaluatedLabels.of(is_positive, scores, scores >= 0.5))[0])
    values, centers = (np.mean([getattr(one, which) for one in estimates]) for which in ("value", "center"))
    assert values - truth > 0.04
    assert abs(centers - truth) < 0.02


def test_an_average_is_of_the_kept_labels() -> None:
    truth, chances = drawn(80, 3, 4)
    each = precision_estimates(EvaluatedLabels.of(truth, chances, chances >= 0.5))
    both = mean_precision(each, np.array([True, False, True]))
    assert both is not None
    assert both.value == pytest.approx((each[0].value + each[2].value) / 2)
    assert both.positives == truth[:, [0, 2]].sum()
    assert mean_precision(each, np.zeros(3, bool)) is None


def test_a_label_of_few_images_says_so() -> None:
    truth, chances = drawn(300, 1, 5)
    truth[:] = False
    truth[:6] = True
    (entry,) = multi_label_scores(truth, chances, [0.5], ("rare",)).per_label
    assert entry.average_precision is not None
    assert entry.average_precision.too_few


@pytest.mark.slow
def test_mean_average_precision_of_rare_labels_is_held() -> None:
    """The reported case: 720 images, 25 labels down to 5 positives; the percentile bootstrap held 13 of 30."""
    generator = np.random.default_rng(6)
    prevalence, apart = np.geomspace(5 / 720, 0.4, 25), generator.uniform(0.8, 2.5, 25)
    grid = np.linspace(-8, 12, 20_001)[:, None]
    density = np.exp(-((grid - apart) ** 2) / 2) / np.sqrt(2 * np.pi) * (grid[1] - grid[0])
    found = prevalence * ndtr(apart - grid)
    true = (found / (found + (1 - prevalence) * ndtr(-grid)) * density).sum(axis=0)
    covered = 0
    for _ in range(1000):
        truth = generator.random((720, 25)) < prevalence
        scores = ndtr(generator.normal(size=(720, 25)) + truth * apart)
        evaluated = EvaluatedLabels.of(truth, scores, scores >= 0.5)
        estimate = mean_precision(precision_estimates(evaluated), evaluated.in_macro)
        assert estimate is not None
        interval = estimate.interval()
        covered += interval.low <= true[evaluated.in_macro].mean() <= interval.high
    assert 925 <= covered <= 970
