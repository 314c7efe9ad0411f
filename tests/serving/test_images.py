from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from served_runs import image

from distingo.serving.http.access import RefusedError
from distingo.serving.images import ACCEPTED, decode_upload

SAVED_AS = {"JPEG": "JPEG", "PNG": "PNG", "WebP": "WEBP", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "AVIF": "AVIF"}


def refused(content: bytes, max_pixels: int = 1_000_000) -> RefusedError:
    with pytest.raises(RefusedError) as found:
        decode_upload(content, max_pixels=max_pixels, enough=None)
    return found.value


@pytest.mark.parametrize("form", [*SAVED_AS.values(), "HEIF"])
def test_accepted_formats_are_decoded(form: str) -> None:
    if form == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    drawn = decode_upload(image(size=(64, 48), form=form), max_pixels=10_000, enough=None)
    assert drawn.size == (64, 48) and drawn.mode in {"RGB", "L"}


def test_every_accepted_format_is_tried() -> None:
    assert set(ACCEPTED) == {*SAVED_AS, "HEIF"}


@pytest.mark.parametrize("form", ["JPEG2000", "PPM", "ICO", "TGA", "PDF"])
def test_other_formats_are_refused_whatever_they_are(form: str) -> None:
    assert refused(image(form=form)).status == 415


def test_a_image_of_too_many_pixels_is_refused_from_its_header() -> None:
    whole = image(size=(1000, 100), form="PNG")
    assert refused(whole, 99_999).status == 413
    head = bytearray(whole)
    head[16:24] = (60_000).to_bytes(4, "big") * 2
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    assert refused(bytes(head)).status == 413


def test_a_jpeg_of_thousands_of_scans_is_refused_and_an_ordinary_progressive_one_is_not() -> None:
    encoded = io.BytesIO()
    Image.fromarray(np.zeros((400, 400, 3), np.uint8)).save(encoded, "JPEG", progressive=True)
    whole = encoded.getvalue()
    assert decode_upload(whole, max_pixels=200_000, enough=None).size == (400, 400)
    last = whole.rindex(b"\xff\xda")
    many = whole[:-2] + whole[last:-2] * 3000 + whole[-2:]
    found = refused(many, 200_000)
    assert found.status == 413 and "scans" in found.reason


def test_reasons_name_no_file_of_this_machine() -> None:
    for content in (image()[:300], b"GIF89a" + bytes(20), b"\xff\xd8\xff" + bytes(99), b"II*\x00" + bytes(99)):
        found = refused(content)
        assert found.status == 422 and str(Path.cwd()) not in found.reason and "0x" not in found.reason
