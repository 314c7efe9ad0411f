from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFilter
from skimage import color, img_as_ubyte
from skimage.feature import graycomatrix, graycoprops

from distingo.datasets.measurements import (
    ANGLES,
    MEASUREMENTS,
    PROPERTIES,
    describe,
    describe_pixels,
    descriptor_names,
    measure,
)


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


def scikit_image_descriptors(rgb: np.ndarray) -> np.ndarray:
    """All 64 numbers, the straightforward way."""
    colors = [np.histogram(rgb[..., c], bins=16, range=(0, 256), density=True)[0] for c in range(3)]
    gray = img_as_ubyte(color.rgb2gray(rgb))
    matrix = graycomatrix(gray, [5], np.deg2rad(ANGLES), levels=256)
    textures = np.stack([graycoprops(matrix, name)[0] for name in PROPERTIES], axis=1)
    # With one side of all pairs a single gray level, correlation is 1 by scikit-image's definition; its
    # rounding may turn that into noise (0 / 0), which is no result to agree with.
    sides = [np.count_nonzero(matrix.sum(axis=axis), axis=0)[0] for axis in (0, 1)]
    textures[np.minimum(*sides) <= 1, PROPERTIES.index("correlation")] = 1
    return np.concatenate([*colors, textures.ravel()])


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)),
        elements=st.integers(0, 255),
        fill=st.integers(0, 255),
    )
)
def test_any_pixels_are_described_as_by_scikit_image(rgb: np.ndarray) -> None:
    np.testing.assert_allclose(describe_pixels(rgb, angles="all"), scikit_image_descriptors(rgb), atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_full_size_images_are_described_as_by_scikit_image(seed: int) -> None:
    rgb = random_image(135, 240, seed)
    np.testing.assert_allclose(describe_pixels(rgb, angles="all"), scikit_image_descriptors(rgb), atol=1e-9, rtol=0)


def test_smooth_images_are_described_as_by_scikit_image() -> None:
    rows, columns = np.mgrid[0:90, 0:131]
    rgb = np.stack([rows + columns, rows * 2, 255 - columns], axis=-1).astype(np.uint8)
    np.testing.assert_allclose(describe_pixels(rgb, angles="all"), scikit_image_descriptors(rgb), atol=1e-9, rtol=0)


def test_gray_levels_between_two_are_rounded_as_by_scikit_image() -> None:
    reds, greens, blues = np.meshgrid(*[np.arange(256)] * 3, indexing="ij")
    halfway = (2125 * reds + 7154 * greens + 721 * blues) % 10_000 == 5_000
    colors = np.stack([reds[halfway], greens[halfway], blues[halfway]], axis=-1).astype(np.uint8)
    rgb = colors[: len(colors) // 40 * 40].reshape(-1, 40, 3)
    assert len(rgb) >= 30
    np.testing.assert_allclose(describe_pixels(rgb, angles="all"), scikit_image_descriptors(rgb), atol=1e-6, rtol=0)


@pytest.mark.parametrize("value", [0, 17, 255])
def test_a_image_of_one_color(value: int) -> None:
    rgb = np.full((20, 30, 3), value, dtype=np.uint8)
    numbers = dict(zip(descriptor_names(), describe_pixels(rgb), strict=True))

    assert numbers["dissimilarity_0"] == 0
    assert numbers["homogeneity_0"] == numbers["energy_0"] == numbers["correlation_0"] == 1
    for shade in ("red", "green", "blue"):
        bins = [number for name, number in numbers.items() if name.startswith(shade)]
        assert bins[value // 16] == 1 / 16
        assert sum(bins) == 1 / 16
    np.testing.assert_array_equal(describe_pixels(rgb, angles="all"), scikit_image_descriptors(rgb))


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (4, 200), (200, 4), (5, 6), (6, 5)])
def test_images_smaller_than_the_distance(shape: tuple[int, int]) -> None:
    rgb = random_image(*shape)
    np.testing.assert_allclose(describe_pixels(rgb, angles="all"), scikit_image_descriptors(rgb), atol=1e-9, rtol=0)


def test_the_first_angle_alone_gives_52_numbers() -> None:
    rgb = random_image(40, 50)
    assert len(descriptor_names()) == len(set(descriptor_names())) == 52
    assert len(descriptor_names("all")) == len(set(descriptor_names("all"))) == 64
    assert descriptor_names()[0] == "red_0_15"
    assert descriptor_names()[47:50] == ("blue_240_255", "dissimilarity_0", "homogeneity_0")
    np.testing.assert_array_equal(describe_pixels(rgb), describe_pixels(rgb, angles="all")[:52])


def test_a_small_image_is_described_as_it_is() -> None:
    rgb = random_image(135, 240)
    np.testing.assert_array_equal(describe(rgb), describe_pixels(rgb).astype(np.float32))
    assert describe(rgb).dtype == np.float32


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (300, 100), (100, 300)])
def test_only_a_dimension_that_is_too_large_is_shrunk(height: int, width: int) -> None:
    rgb = random_image(height, width)
    shrunk = Image.fromarray(rgb).resize((min(width, 240), min(height, 135)), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(describe(rgb), describe_pixels(np.asarray(shrunk)).astype(np.float32))


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    stripes = np.zeros((20, 2400, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    numbers = dict(zip(descriptor_names(), describe(stripes), strict=True))
    assert numbers["red_112_127"] + numbers["red_128_143"] == pytest.approx(1 / 16)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_images_of_other_modes(mode: str) -> None:
    image = Image.fromarray(random_image(30, 300)).convert(mode)
    expected = image.convert("RGB").resize((240, 30), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(describe(image), describe(expected))


def test_gray_arrays_are_described_as_gray_images() -> None:
    gray = random_image(200, 60)[..., 0]
    np.testing.assert_array_equal(describe(gray), describe(Image.fromarray(gray)))
    np.testing.assert_array_equal(describe(gray[..., None]), describe(gray))


@pytest.mark.parametrize("shape", [(0, 5, 3), (4,), (4, 5, 2), (4, 5, 4)])
def test_arrays_that_are_no_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="give uint8"):
        describe(np.zeros(shape, dtype=np.uint8))
    with pytest.raises(ValueError, match="give uint8"):
        describe_pixels(np.zeros(shape, dtype=np.uint8))
    with pytest.raises(ValueError, match="float64"):
        describe(np.zeros((4, 5, 3)))
    with pytest.raises(ValueError, match="'first' or 'all'"):
        describe(np.zeros((4, 5, 3), dtype=np.uint8), angles="second")
