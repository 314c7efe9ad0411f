import numpy as np
import pytest
from PIL import Image

from distingo.features.signatures import IN_WORDS, SYMMETRIES, turn, turn_frequencies
from distingo.near_duplicates.coarse import describe

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
    assert turn_frequencies(plain.whole, symmetry) == pytest.approx(turned.whole, abs=1e-4)
    assert turn_frequencies(plain.middle, symmetry) == pytest.approx(turned.middle, abs=1e-4)


def test_words_are_the_same_whichever_of_two_images_comes_first():
    generator = noise(1)
    for symmetry in SYMMETRIES:
        turned = turn(generator, np.array([symmetry]))
        back = next(way for way in SYMMETRIES if np.array_equal(turn(turned, np.array([way])), generator))
        assert IN_WORDS[back] == IN_WORDS[symmetry]
