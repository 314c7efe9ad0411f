"""JPEG files that lack their end: told from those that lack pixels."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import encode
from PIL import Image

from distingo.datasets.decoding.decode import UndecodableError, decode
from distingo.datasets.decoding.jpeg_markers import completed, read_frame
from raising import raises

_PIXELS = (
    np.random.default_rng(1).normal(0, 9, (100, 130, 3)) + np.add.outer(np.arange(100) * 2, np.arange(130))[..., None]
)
_IMAGE = Image.fromarray(np.clip(_PIXELS, 0, 255).astype(np.uint8))
_KINDS = [
    {},
    {"progressive": True},
    {"subsampling": 0},
    {"optimize": True, "quality": 98},
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 3},
]


@pytest.mark.parametrize("options", _KINDS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_only_the_end_marker_is_missing(options: dict[str, object], mode: str) -> None:
    data = encode(_IMAGE.convert(mode), "JPEG", **options)
    whole = decode(data)
    assert whole.notes == ()
    for missing in (1, 2):
        decoded = decode(data[:-missing])
        assert decoded.notes == ("missing-end-marker",)
        assert np.array_equal(np.asarray(decoded.image), np.asarray(whole.image))
    assert decode(data[:-2], enough=8).notes == ("missing-end-marker",)


@pytest.mark.parametrize("options", _KINDS)
def test_a_file_that_lacks_pixels_stays_truncated(options: dict[str, object]) -> None:
    data = encode(_IMAGE, "JPEG", **options)
    for missing in [*range(8, 120, 7), len(data) // 2]:
        with raises(UndecodableError, code="damaged_image"):
            decode(data[:-missing])
    with raises(UndecodableError, code="damaged_image"):
        decode(data[:-400] + bytes(4000))


def test_zeros_after_a_file_without_end_marker_are_padding() -> None:
    data = encode(_IMAGE, "JPEG")
    assert completed(data[:-2] + bytes(512)) is not None


def test_a_progressive_file_needs_all_its_scans() -> None:
    data = encode(_IMAGE, "JPEG", progressive=True)
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for scan in scans[1:]:
        assert completed(data[:scan]) is None


def test_the_frame_header_is_read() -> None:
    frame = read_frame(encode(_IMAGE.convert("L"), "JPEG", icc_profile=b"profile"))
    assert frame is not None
    assert (frame.precision, frame.width, frame.height, frame.components) == (8, 130, 100, 1)
    assert (frame.lossless, frame.profile) == (False, b"profile")
    assert read_frame(b"\xff\xd8\xff\xd9") is None
