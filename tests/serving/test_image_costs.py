from __future__ import annotations

import io
import struct
from collections.abc import Callable

import costly_images
import numpy as np
import pytest
from costly_images import bmp_of_runs, float_tiff, large_image, scan_bomb, tile_bomb
from PIL import Image

from distingo.datasets.decoding.formats import detect_format
from distingo.serving.http.access import RefusedError
from distingo.serving.images import HeaderCost, cost_of, decode_ordinary, decode_upload, read_cost

ORDINARY = [("JPEG", 1500), ("PNG", 1500), ("GIF", 1500), ("BMP", 1500), ("WEBP", 500)]


@pytest.mark.parametrize(("form", "split"), ORDINARY)
def test_common_formats_of_few_pixels_are_ordinary(form: str, split: int) -> None:
    content = large_image(form, split)
    assert read_cost(content, detect_format(content)) == HeaderCost(split * split, ordinary=True)


def test_large_and_unusual_files_are_not_ordinary() -> None:
    for content in (tile_bomb(), float_tiff(10), bmp_of_runs(100), large_image("PNG", 2100)):
        assert not read_cost(content, detect_format(content)).ordinary
    large = large_image("JPEG", 4000)
    assert read_cost(large, "JPEG", enough=224) == HeaderCost(16_000_000, ordinary=True)
    assert not read_cost(large, "JPEG", enough=1500).ordinary
    bomb = scan_bomb(1000, 20)
    assert not read_cost(bomb, "JPEG", scans=bomb.count(b"\xff\xda"), enough=224).ordinary
    for content in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF1234WEBPVP8 ", b"BM"):
        assert read_cost(content, "JPEG" if content[:1] == b"\xff" else detect_format(content)).pixels is None


def test_memory_goes_by_pixels_up_to_a_limit() -> None:
    assert HeaderCost(1_000_000, ordinary=False).memory(2**30) == 64 * 2**20 + 24_000_000
    assert HeaderCost(50_000_000, ordinary=False).memory(2**28) == 2**28
    assert HeaderCost(None, ordinary=False).memory(2**28) == 2**28


LYING: list[Callable[[int], bytes]] = [
    costly_images.stuffed_jpeg,
    costly_images.two_frames,
    lambda split: costly_images.jpeg_with(b"\xff\x00", split),
    lambda split: costly_images.jpeg_with(b"junk", split),
    lambda split: costly_images.jpeg_with(b"\xff\xd0", split),
    lambda split: costly_images.jpeg_with(b"\xff\xfe\x00\x00", split),
    costly_images.two_png_headers,
]


@pytest.mark.parametrize("make", LYING)
def test_what_two_decoders_may_read_in_two_ways_is_of_unknown_cost(make: Callable[[int], bytes]) -> None:
    for split in (100, 2500):
        assert cost_of(make(split), 224) == HeaderCost(None, ordinary=False)


def test_pillow_sees_the_true_size_of_files_that_lie() -> None:
    for make in (costly_images.stuffed_jpeg, costly_images.two_png_headers, costly_images.gif_beyond_its_screen):
        assert Image.open(io.BytesIO(make(2500))).size == (2500, 2500)


def test_a_frame_beyond_a_gif_screen_and_a_negative_height_count() -> None:
    for make in (costly_images.gif_beyond_its_screen, costly_images.bmp_upside_down):
        for split, ordinary in ((1500, True), (2500, False)):
            content = make(split)
            assert cost_of(content, None) == HeaderCost(split * split, ordinary=ordinary)
            assert decode_upload(content, max_pixels=split * split, enough=None).size == (split, split)


def test_fill_bytes_before_a_jpeg_segment_are_ordinary() -> None:
    assert cost_of(costly_images.jpeg_with(b"\xff\xff", 100), None) == HeaderCost(10_000, ordinary=True)


def test_a_gif_with_comments_and_loops_is_ordinary() -> None:
    frames = [Image.fromarray(np.full((40, 50), 60 * number, np.uint8)) for number in range(3)]
    encoded = io.BytesIO()
    frames[0].save(encoded, "GIF", save_all=True, append_images=frames[1:], loop=0, comment=b"a" * 600, duration=40)
    assert cost_of(encoded.getvalue(), None) == HeaderCost(2000, ordinary=True)


def test_only_a_jpeg_that_is_decoded_row_by_row_may_be_large() -> None:
    large = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(large, "JPEG")
    content = large.getvalue()
    assert cost_of(content, 224).ordinary
    scan = content.index(b"\xff\xda")
    frame = content.index(b"\xff\xc0")
    assert not cost_of(content[: frame + 1] + b"\xc2" + content[frame + 2 :], 224).ordinary
    one_component = b"\xff\xda" + struct.pack(">HB", 8, 1) + content[scan + 5 : scan + 7] + b"\0\x3f\0"
    assert not cost_of(content[:scan] + one_component + content[scan + 14 :], 224).ordinary


@pytest.mark.parametrize("make", [costly_images.stuffed_jpeg, costly_images.two_png_headers])
def test_no_more_pixels_are_decoded_here_than_a_header_names(make: Callable[[int], bytes]) -> None:
    content, stated = make(300), HeaderCost(64 * 64, ordinary=True)
    assert decode_ordinary(content, stated, max_pixels=10**6, enough=None) is None
    whole = decode_ordinary(content, HeaderCost(90_000, ordinary=True), max_pixels=10**6, enough=None)
    assert whole is not None and whole.size == (300, 300)
    with pytest.raises(RefusedError) as found:
        decode_ordinary(content, HeaderCost(90_000, ordinary=True), max_pixels=1000, enough=None)
    assert found.value.status == 413 and "limit of 1,000" in found.value.reason
