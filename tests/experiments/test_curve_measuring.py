"""Which images are learned from at each size."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.errors import DataError
from distingo.experiments.curve_measuring import choose_sizes, draw_subsets
from raising import raises


def test_sizes_are_spaced_by_ratio_up_to_all() -> None:
    sizes = choose_sizes(2400, 5, 8)
    assert (sizes[0], sizes[-1], len(sizes)) == (100, 2400, 8)
    ratios = np.divide(sizes[1:], sizes[:-1])
    assert ratios.max() / ratios.min() < 1.05
    assert choose_sizes(240, 20, 8)[0] == 80


@pytest.mark.parametrize(("pool", "classes"), [(20, 5), (10, 1), (100, 20)])
def test_too_few_images_have_no_curve(pool: int, classes: int) -> None:
    with raises(DataError, code="too_few_images"):
        choose_sizes(pool, classes, 3 if pool == 10 else 8)


def test_sizes_hold_the_smaller_ones_whole_groups_and_every_class() -> None:
    generator = np.random.default_rng(0)
    classes = generator.permutation(np.arange(300) % 4)
    groups = np.arange(300) // 2
    labels = np.eye(4, dtype=bool)[classes]
    pool, test = np.arange(240), np.arange(240, 300)
    sizes = choose_sizes(240, 4, 6)
    draw = draw_subsets(labels, groups, (pool, test), sizes, validation=0.2, seed=1)
    before: set[int] = set()
    for at, size in enumerate(sizes):
        train, held_out = draw.at(at)
        there = {*train.tolist(), *held_out.tolist()}
        assert not set(train.tolist()) & set(held_out.tolist())
        assert before <= there
        assert abs(len(there) - size) <= 4
        assert set(classes[train]) == {0, 1, 2, 3}
        outside = set(range(240)) - there
        assert not {groups[one] for one in there} & {groups[one] for one in outside}
        before = there
    assert before == set(range(240))
    assert len(draw.at(5)[1]) == 48
    assert draw.test.tolist() == test.tolist()
