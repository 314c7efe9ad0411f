import numpy as np
import pytest
from PIL import Image, ImageFilter

from distingo.datasets.measurements import MEASUREMENTS, measure


def measured(image: Image.Image) -> dict[str, float]:
    return dict(zip(MEASUREMENTS, measure(image).tolist(), strict=True))


def test_a_image_of_one_color_is_uniform_and_without_sharpness():
    values = measured(Image.new("RGB", (50, 40), (255, 0, 0)))
    assert values["uniformity"] == 1
    assert values["sharpness"] == 0
    assert values["contrast"] == 0
    assert (values["red"], values["green"], values["blue"], values["saturation"]) == (1, 0, 0, 1)
    assert values["brightness"] == pytest.approx(76 / 255)


def test_percentiles_say_which_share_of_the_pixels_is_darker():
    levels = np.zeros((10, 10), np.uint8)
    levels[0, :3] = 255  # three pixels of a hundred
    levels[1, :] = 51
    values = measured(Image.fromarray(levels))
    assert values["brightness_5"] == 0
    assert values["brightness_95"] == pytest.approx(0.2)
    assert values["brightness_99"] == 1
    assert values["uniformity"] == pytest.approx(0.87)


def test_a_blurred_image_is_less_sharp_at_every_size():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128), np.uint8))
    for side in (128, 500):
        sharp = noise.resize((side, side))
        blurred = sharp.filter(ImageFilter.GaussianBlur(side / 50))
        assert measured(sharp)["sharpness"] > 0.8
        assert measured(blurred)["sharpness"] < 0.1


def test_a_sharp_subject_before_a_soft_background_is_sharp():
    image = Image.new("L", (128, 128), 100)
    subject = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    image.paste(subject, (0, 0))
    assert measured(image)["sharpness"] > 0.8


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 500), (5, 4)])
def test_the_smallest_images_are_measured_too(size):
    assert np.isfinite(measure(Image.new("RGB", size, (9, 9, 9)))).all()
