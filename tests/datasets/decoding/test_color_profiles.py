"""Color profiles to sRGB: what viewers show."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from drawing import encode, noise
from PIL import Image, ImageCms

from distingo.datasets.decoding.color_profiles import _gray_profile, _matrix_profile, profile_of_png, to_srgb
from distingo.datasets.decoding.decode import decode

_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_DISPLAY_P3 = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
_COLOR = (200, 30, 40)


def _shown(data: bytes) -> object:
    return decode(data).image.getpixel((0, 0))


@pytest.mark.parametrize(
    ("primaries", "gamma", "expected"),
    [
        (_SRGB, None, _COLOR),
        (_SRGB, 1.0, (229, 96, 110)),
        (_SRGB, 1 / 1.8, (210, 40, 53)),
        (_DISPLAY_P3, None, (218, 0, 27)),
    ],
)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_matrix_profiles_are_converted(
    primaries: tuple[float, ...], gamma: float | None, expected: tuple[int, ...], file_format: str
) -> None:
    profile = _matrix_profile(primaries, gamma)
    options = {"lossless": True} if file_format == "WEBP" else {}
    if file_format in {"AVIF", "HEIF"}:
        options = {"quality": 100, "subsampling": "4:4:4"} if file_format == "AVIF" else {"quality": -1, "chroma": 444}
        if file_format == "HEIF":
            pillow_heif = pytest.importorskip("pillow_heif")
            pillow_heif.register_heif_opener()
    shown = _shown(encode(Image.new("RGB", (16, 16), _COLOR), file_format, icc_profile=profile, **options))
    assert np.abs(np.subtract(shown, expected)).max() <= (3 if file_format in {"AVIF", "HEIF"} else 0)


def test_srgb_itself_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = noise(3, (40, 30))
    same, fits = to_srgb(image, profile)
    assert same is image and fits
    decoded = decode(encode(image, icc_profile=profile))
    assert decoded.notes == () and np.array_equal(np.asarray(decoded.image), np.asarray(image))


def test_gray_profiles_give_gray() -> None:
    profile = _gray_profile(1.0)
    decoded = decode(encode(Image.fromarray(np.array([[0, 50, 128, 255]], np.uint8)), icc_profile=profile))
    assert decoded.image.mode == "L"
    assert np.asarray(decoded.image).tolist() == [[0, 122, 188, 255]]


def test_a_profile_is_applied_before_an_image_is_laid_over_white() -> None:
    image = Image.new("RGBA", (4, 4), (*_COLOR, 255))
    image.putpixel((3, 3), (*_COLOR, 0))
    decoded = decode(encode(image, icc_profile=_matrix_profile(_SRGB, 1.0)))
    assert decoded.image.getpixel((0, 0)) == (229, 96, 110)
    assert decoded.image.getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("profile", [b"garbage" * 30, _matrix_profile(_SRGB, 1.0)[:200], _gray_profile(1.0)])
def test_a_profile_that_cannot_be_used_is_ignored_with_a_note(profile: bytes) -> None:
    decoded = decode(encode(Image.new("RGB", (8, 8), _COLOR), icc_profile=profile))
    assert decoded.image.getpixel((0, 0)) == _COLOR
    assert decoded.notes == ("profile-ignored",)


def test_a_gray_image_with_the_profile_of_srgb_is_fine() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    decoded = decode(encode(Image.new("L", (8, 8), 77), icc_profile=profile))
    assert (decoded.image.getpixel((0, 0)), decoded.notes) == (77, ())


def test_cmyk_without_a_profile_is_read_with_adobes_inversion() -> None:
    shown = _shown(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(np.subtract(shown, (255, 0, 0))).max() <= 3


@pytest.mark.parametrize(
    ("info", "cicp", "expected"),
    [
        ({"gamma": 0.45455}, None, None),
        ({"gamma": 0.45455, "chromaticity": _SRGB}, None, None),
        ({"gamma": 1.0, "srgb": 0}, None, None),
        ({"gamma": 1.0}, None, (229, 96, 110)),
        ({"gamma": 0.45455, "chromaticity": _DISPLAY_P3}, None, (218, 0, 27)),
        ({}, (1, 13, 0, 1), None),
        ({}, (12, 13, 0, 1), (218, 0, 27)),
        ({"gamma": 0.45455}, (1, 8, 0, 1), (229, 96, 110)),
        ({}, (9, 16, 0, 1), None),
    ],
)
def test_png_describes_colors_in_chunks_of_its_own(
    info: dict[str, object], cicp: tuple[int, ...] | None, expected: tuple[int, ...] | None
) -> None:
    profile = profile_of_png(info, cicp, gray=False)
    if expected is None:
        assert profile is None
    else:
        assert to_srgb(Image.new("RGB", (1, 1), _COLOR), profile)[0].getpixel((0, 0)) == expected


def test_nonsense_in_png_chunks_is_a_profile_that_cannot_be_used() -> None:
    profile = profile_of_png({"gamma": 0.5, "chromaticity": (0.0,) * 8}, None, gray=False)
    assert to_srgb(Image.new("RGB", (1, 1), _COLOR), profile)[1] is False


def test_many_threads_convert_alike() -> None:
    data = [encode(noise(seed, (64, 64)), icc_profile=_matrix_profile(_DISPLAY_P3, None)) for seed in range(8)]
    alone = [decode(each).image.tobytes() for each in data]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda each: decode(each).image.tobytes(), data * 4)) == alone * 4


def test_a_profile_matches_what_lcms_makes_of_it() -> None:
    profile = _matrix_profile(_DISPLAY_P3, 1 / 2.2)
    image = noise(5, (30, 30))
    expected = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert np.array_equal(np.asarray(to_srgb(image, profile)[0]), np.asarray(expected))
