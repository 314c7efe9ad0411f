import numpy as np
import pytest
from PIL import Image

from distingo.datasets.decoding.rendering import VIEW_SETS, look, require_views
from distingo.errors import UsageError
from raising import raises


@pytest.fixture
def image() -> Image.Image:
    return Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10))


def test_the_picture_itself_comes_first_in_every_set(image: Image.Image) -> None:
    assert all(views[0] == "whole" for views in VIEW_SETS.values())
    assert look(image, "whole") is image


def test_mirrored_is_left_to_right(image: Image.Image) -> None:
    assert np.array_equal(np.array(look(image, "mirrored")), np.array(image)[:, ::-1])


@pytest.mark.parametrize(
    ("view", "first"), [("top-left", 0), ("top-right", 2), ("bottom-left", 20), ("bottom-right", 22)]
)
def test_corners_keep_eighty_percent_of_each_side(image: Image.Image, view: str, first: int) -> None:
    seen = np.array(look(image, view))
    assert seen.shape == (8, 8)
    assert seen[0, 0] == first


def test_a_picture_of_one_pixel_has_all_views() -> None:
    dot = Image.new("RGB", (1, 1))
    assert all(look(dot, view).size == (1, 1) for view in VIEW_SETS["crops"])


def test_an_unknown_set_is_refused_with_the_nearest() -> None:
    with raises(UsageError, code="unknown_name", parameter="views"):
        require_views("flips")
