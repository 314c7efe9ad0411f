from __future__ import annotations

import numpy as np
import pytest

from distingo.explanation.covering import (
    RANDOM_COVERS,
    check_by_covering,
    hottest_part,
    log_odds,
    map_by_covering,
)


def looks_at(top: int, bottom: int, left: int, right: int):
    """A model that is as sure of its second class as one part of the image is bright."""

    def answer(pixels: np.ndarray) -> np.ndarray:
        brightness = pixels[:, top:bottom, left:right].mean(axis=(1, 2, 3)) / 255
        sure = (0.02 + 0.96 * brightness).astype(np.float32)
        return np.stack([1 - sure, sure], axis=1)

    return answer


def image() -> np.ndarray:
    pixels = np.full((40, 60, 3), 20, np.uint8)
    pixels[4:16, 40:56] = 250
    return pixels


def test_a_map_by_covering_is_hot_where_the_model_looks() -> None:
    heat = map_by_covering(looks_at(4, 16, 40, 56), image(), 1, several=False)
    assert heat.shape == (8, 8)
    assert heat.dtype == np.float32
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= (row + 0.5) * 5 <= 16
    assert 40 <= (column + 0.5) * 7.5 <= 56
    assert heat[4:, :4].max() == 0


def test_a_map_has_no_more_cells_than_the_image_has_pixels() -> None:
    assert map_by_covering(looks_at(0, 2, 0, 2), np.full((3, 5, 3), 200, np.uint8), 1, several=True).shape == (3, 5)


def test_a_true_map_is_believed_and_a_false_one_is_not() -> None:
    true, false = np.zeros((4, 6), np.float32), np.zeros((4, 6), np.float32)
    true[0:2, 4:6], false[2:4, 0:2] = 1, 1
    answer = looks_at(4, 16, 40, 56)
    right = check_by_covering(answer, image(), true, 1, several=False)
    wrong = check_by_covering(answer, image(), false, 1, several=False)
    assert right.is_meaningful
    assert right.before == wrong.before > 0.9
    assert right.hottest < 0.5
    assert right.p_value == pytest.approx(1 / 41)
    assert not wrong.is_meaningful
    assert not wrong.may_be_meaningful
    assert wrong.hottest == pytest.approx(wrong.before)
    assert len(right.random) == len(right.random_falls) == RANDOM_COVERS


def test_random_maps_are_seldom_believed() -> None:
    generator = np.random.default_rng(0)
    believed = 0
    for _ in range(60):
        heat = generator.random((4, 4), np.float32)
        top, left = generator.integers(0, 28), generator.integers(0, 42)
        answer = looks_at(top, top + 12, left, left + 18)
        pixels = generator.integers(0, 255, (40, 60, 3), np.uint8)
        believed += check_by_covering(answer, pixels, heat, 1, several=False).is_meaningful
    assert believed <= 9


def test_the_hottest_part_is_a_fifth() -> None:
    heat = np.arange(12, dtype=np.float32).reshape(3, 4)
    part = hottest_part(heat, (30, 40))
    assert part.sum() == 240
    assert part[-5:, -5:].all()
    assert not part[:15].any()


def test_log_odds_keep_their_precision_near_one() -> None:
    sure = np.array([[1.0, 1e-20, 1e-22]], np.float32)
    assert log_odds(sure, 0, several=False)[0] == pytest.approx(-np.log(1e-12))
    assert log_odds(np.array([[0.75, 0.25]], np.float32), 0, several=True)[0] == pytest.approx(np.log(3))
