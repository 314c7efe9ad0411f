import numpy as np
import pytest
from PIL import Image
from scenes import brighten, crop, draw_scene, halve, recompress

from distingo.features.signatures import compare, sign


def likeness(one: Image.Image, other: Image.Image) -> float:
    return float(compare(*(sign(image)[None] for image in (one, other)))[0])


@pytest.mark.parametrize("change", [halve, recompress, crop, brighten])
def test_copies_are_recognised(change):
    for seed in range(5):
        scene = draw_scene(seed)
        assert likeness(scene, change(scene)) > 0.85
        assert likeness(change(scene), scene) > 0.85


def test_strangers_are_not():
    assert max(likeness(draw_scene(seed), draw_scene(seed + 50)) for seed in range(20)) < 0.5


def test_two_cut_outs_of_one_picture_are_the_same_scene():
    scene = draw_scene(3, 200)
    assert likeness(scene.crop((0, 0, 180, 180)), scene.crop((20, 20, 200, 200))) > 0.85


def test_one_edge_in_both_makes_no_copy():
    ramp = np.zeros((128, 128), np.uint8)
    ramp[:, 100:] = 200
    first, second = ramp.copy(), ramp.copy()
    generator = np.random.default_rng(0)
    for picture in (first, second):
        picture[:, :100] = generator.integers(20, 80, (128, 100))
    assert likeness(Image.fromarray(first), Image.fromarray(second)) < 0.6


def test_without_structure_nothing_is_known():
    flat = Image.new("L", (64, 64), 90)
    assert likeness(flat, flat) == 0


def test_no_pairs_no_answer():
    none = np.empty((0, 64, 64), np.uint8)
    assert compare(none, none).shape == (0,)
