from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scenes import brighten, crop, draw_scene, halve, recompress

from distingo.messages.notes import read_sentences
from distingo.near_duplicates.coarse import describe
from distingo.near_duplicates.signatures import (
    SIDE,
    SYMMETRIES,
    SYMMETRY_CODES,
    compare,
    low_frequencies,
    shrink,
    sign,
    smooth,
    transform_frequencies,
    turn,
)


def test_a_signature_is_small_and_gray_whatever_the_image():
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


TURNS = {
    1: Image.Transpose.FLIP_LEFT_RIGHT,
    2: Image.Transpose.FLIP_TOP_BOTTOM,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.TRANSPOSE,
    5: Image.Transpose.ROTATE_270,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
}


def noise(count):
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64)).astype(np.uint8)


@pytest.mark.parametrize(("symmetry", "method"), TURNS.items())
def test_an_image_is_turned_as_pillow_turns_it(symmetry, method):
    images = noise(3)
    turned = turn(images, np.array([symmetry, 0, symmetry]))
    assert np.array_equal(turned[0], np.array(Image.fromarray(images[0]).transpose(method)))
    assert np.array_equal(turned[1], images[1])
    assert np.array_equal(turned[2], np.array(Image.fromarray(images[2]).transpose(method)))
    assert np.array_equal(images, noise(3))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_frequencies_are_turned_without_going_back_to_pixels(symmetry):
    images = noise(4)
    turned = describe(turn(images, np.full(4, symmetry)))
    plain = describe(images)
    assert transform_frequencies(plain.whole, symmetry) == pytest.approx(turned.whole, abs=1e-4)
    assert transform_frequencies(plain.middle, symmetry) == pytest.approx(turned.middle, abs=1e-4)


def test_words_are_the_same_whichever_of_two_images_comes_first():
    generator = noise(1)
    for symmetry in SYMMETRIES:
        turned = turn(generator, np.array([symmetry]))
        back = next(way for way in SYMMETRIES if np.array_equal(turn(turned, np.array([way])), generator))
        assert SYMMETRY_CODES[back] == SYMMETRY_CODES[symmetry]
    assert set(SYMMETRY_CODES) - {""} <= read_sentences().keys()


def similarity(one: Image.Image, other: Image.Image) -> float:
    return float(compare(*(sign(image)[None] for image in (one, other)))[0])


@pytest.mark.parametrize("change", [halve, recompress, crop, brighten])
def test_copies_are_recognized(change):
    for seed in range(5):
        scene = draw_scene(seed)
        assert similarity(scene, change(scene)) > 0.85
        assert similarity(change(scene), scene) > 0.85


def test_strangers_are_not():
    assert max(similarity(draw_scene(seed), draw_scene(seed + 50)) for seed in range(20)) < 0.5


def test_two_cut_outs_of_one_image_are_the_same_scene():
    scene = draw_scene(3, 200)
    assert similarity(scene.crop((0, 0, 180, 180)), scene.crop((20, 20, 200, 200))) > 0.85


def test_one_edge_in_both_makes_no_copy():
    ramp = np.zeros((128, 128), np.uint8)
    ramp[:, 100:] = 200
    first, second = ramp.copy(), ramp.copy()
    generator = np.random.default_rng(0)
    for image in (first, second):
        image[:, :100] = generator.integers(20, 80, (128, 100))
    assert similarity(Image.fromarray(first), Image.fromarray(second)) < 0.6


def test_without_structure_nothing_is_known():
    flat = Image.new("L", (64, 64), 90)
    assert similarity(flat, flat) == 0


def test_no_pairs_no_answer():
    none = np.empty((0, 64, 64), np.uint8)
    assert compare(none, none).shape == (0,)
