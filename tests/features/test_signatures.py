import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scenes import draw_scene

from distingo.features.signatures import SIDE, low_frequencies, shrink, sign, smooth


def test_a_signature_is_small_and_grey_whatever_the_picture():
    for size in ((300, 200), (10, 7), (64, 64)):
        assert sign(Image.new("RGB", size, (10, 200, 30))).shape == (SIDE, SIDE)
    assert np.unique(sign(Image.new("L", (7, 9), 77))).tolist() == [77]


def test_brightness_and_contrast_leave_no_trace_in_low_frequencies():
    scene = draw_scene(0)
    paler = ImageEnhance.Contrast(scene).enhance(0.6)
    rows = low_frequencies(np.stack([sign(scene), sign(paler), sign(draw_scene(1))]))
    assert rows.shape == (3, 63)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert rows[0] @ rows[1] > 0.99
    assert abs(rows[0] @ rows[2]) < 0.5


def test_smoothing_leaves_means_and_images_of_width_zero_as_they_are():
    board = np.where(np.indices((SIDE, SIDE)).sum(axis=0) % 2, 200, 100).astype(np.uint8)
    kept, smoothed = smooth(np.stack([board, board]), np.array([0.0, 2.0]))
    assert (kept == board).all()
    assert smoothed.dtype == np.uint8
    assert smoothed[8:-8, 8:-8].min() >= 149
    assert smoothed[8:-8, 8:-8].max() <= 151


def test_shrinking_averages_squares():
    values = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    assert shrink(values, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
