from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from fractions import Fraction

import numpy as np
import pytest

from distingo.scores import Score

SCORE = Score(0.9375, 0.875, 0.984375, 160)
LESS = Score(0.5, 0.25, 0.75, 160)


def test_a_score_is_read_as_its_value():
    assert (float(SCORE), round(SCORE, 2), abs(-LESS), -LESS) == (0.9375, 0.94, 0.5, -0.5)
    assert round(LESS) == 0
    assert (f"{SCORE:.1%}", f"{SCORE:8.3f}", format(SCORE, ".2g")) == ("93.8%", "   0.938", "0.94")
    assert np.asarray([SCORE, LESS], dtype=float).tolist() == [0.9375, 0.5]
    assert math.sqrt(Score(0.25, 0, 1, 4)) == 0.5


def test_a_score_without_a_format_has_its_interval():
    assert str(SCORE) == f"{SCORE}" == "0.9375 (95% interval 0.875 to 0.9844, n=160)"
    assert str(replace(SCORE, n=3, too_few=True)) == "0.9375 (too few for an interval, n=3)"
    assert repr(LESS) == "Score(value=0.5, low=0.25, high=0.75, n=160, too_few=False)"


def test_scores_are_compared_with_numbers_and_scores():
    assert SCORE > LESS
    assert SCORE > 0.9 > LESS
    assert 0.9 < SCORE <= 0.9375 <= SCORE
    assert SCORE >= Fraction(15, 16) >= SCORE
    assert LESS < 1
    assert np.float64(0.6) > LESS
    assert np.float32(0.6) > LESS
    assert np.float32(0.4) < LESS
    assert max(LESS, SCORE) is SCORE
    assert sorted([SCORE, LESS]) == [LESS, SCORE]
    assert not Score(math.nan, 0, 1, 5) < 1


def test_a_score_equals_its_number_and_the_same_record():
    assert SCORE == 0.9375
    assert np.float64(0.9375) == SCORE
    assert Fraction(1, 2) == LESS
    assert SCORE != 0.9
    assert Score(0.9375, 0.875, 0.984375, 160, too_few=False) == SCORE
    assert replace(SCORE, n=161) != SCORE
    assert SCORE != "0.9375"
    assert SCORE is not None


def test_what_is_equal_has_the_same_hash():
    assert hash(SCORE) == hash(0.9375) == hash(Score(0.9375, 0.875, 0.984375, 160))
    assert {SCORE: "a"}[Score(0.9375, 0.875, 0.984375, 160)] == "a"
    assert len({SCORE, replace(SCORE, n=161), LESS}) == 3


def test_what_is_computed_is_a_plain_float():
    found = [SCORE - LESS, 1 - SCORE, SCORE + 1, 1 + SCORE, SCORE * 100, 2 * LESS, SCORE / LESS, 1 / LESS]
    assert found == [0.4375, 0.0625, 1.9375, 1.9375, 93.75, 1.0, 1.875, 2.0]
    assert {type(value) for value in found} == {float}
    assert sum([SCORE, LESS]) == 1.4375
    assert np.mean([SCORE, LESS]) == 0.71875
    assert np.float64(1) - LESS == 0.5


@pytest.mark.parametrize("other", ["0.5", None, [0.5], 1j])
def test_nothing_but_numbers_is_compared_or_computed_with(other):
    for operation in (lambda: other < LESS, lambda: other >= LESS, lambda: other - LESS, lambda: LESS / other):
        with pytest.raises(TypeError):
            operation()


def test_a_score_is_still_a_frozen_record():
    with pytest.raises(FrozenInstanceError):
        SCORE.value = 1.0  # type: ignore[misc]
    assert Score(**json.loads(json.dumps(asdict(SCORE)))) == SCORE == pickle.loads(pickle.dumps(SCORE))
    assert Score(0.0, 0.0, 0.1, 30)  # a score of zero is not taken for one that is missing
