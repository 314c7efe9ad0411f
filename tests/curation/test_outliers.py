from pathlib import Path

import numpy as np
import pytest

from distingo.curation.pairs import comparable, judge_outliers, near_pairs, nearest
from distingo.records import Picture, Source


def pictures(count: int) -> list[Picture]:
    return [Picture(Source(f"{at}.png", Path()), ("a",), str(at), str(at), 9, 9) for at in range(count)]


def test_a_picture_of_another_kind_is_found():
    generator = np.random.default_rng(0)
    embeddings = generator.normal(3, 1, (200, 16)).astype(np.float32)
    embeddings[17] = generator.normal(-3, 1, 16)
    distances, _ = nearest(comparable(embeddings, deep=True), 10)
    found = sorted(judge_outliers(pictures(200), distances, 0.5), key=lambda finding: -finding.score)
    assert found[0].file == "17.png"
    assert found[0].score > 0.9
    assert [finding.file for finding in found if finding.counts] == ["17.png"]
    assert "deviations further from its nearest pictures than is usual" in found[0].reason


def test_few_pictures_have_no_outliers():
    assert list(judge_outliers(pictures(10), np.ones((10, 9)), 0.5)) == []


def test_equal_pictures_have_no_outliers():
    assert list(judge_outliers(pictures(20), np.zeros((20, 10)), 0.5)) == []


def test_embeddings_are_made_comparable():
    deep = comparable(np.array([[3, 4], [0, 0]], np.float32), deep=True)
    assert deep.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    classic = comparable(np.array([[1, 5], [3, 5]], np.float32), deep=False)
    assert classic.tolist() == [[-1, 0], [1, 0]]


def test_each_pair_of_neighbours_comes_once():
    assert near_pairs(np.array([[1, 2], [0, 2], [1, 0]]), 1) == [(0, 1), (1, 2)]
