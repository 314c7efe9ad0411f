"""Names of formats from first bytes."""

from __future__ import annotations

import pytest

from distingo.datasets.formats import describe_non_picture, detect_format


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff\xe0rest", "JPEG"),
        (b"\x89PNG\r\n\x1a\nrest", "PNG"),
        (b"GIF89a", "GIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (b"RIFF\x10\0\0\0AVI LIST", "AVI video"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "MP4 video"),
        (b"P6\n3 2\n255\n", "PPM"),
        (b"  <!DOCTYPE html><html>", "HTML"),
        (b"\xef\xbb\xbf<HTML><head>", "HTML"),
        (b'<?xml version="1.0"?><svg width="3">', "SVG"),
        (b"<?xml version='1.0'?><rss>", "XML"),
        (b'{"error": "not found"}', "JSON"),
        ("für alle".encode(), "text"),
        ("<html>".encode("utf-16"), "HTML"),
        (b"%PDF-1.4", "PDF"),
        (b"PK\x03\x04", "ZIP"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x80", "unknown"),
        (b"caf\xe9 latin text is no UTF-8", "unknown"),
    ],
)
def test_first_bytes_tell_the_format(data: bytes, name: str) -> None:
    assert detect_format(data) == name


def test_text_cut_inside_a_character_is_still_text() -> None:
    assert detect_format(("x" + "ü" * 3000).encode()) == "text"


def test_words_for_what_is_no_picture() -> None:
    assert describe_non_picture("HTML") == "an HTML page, not a picture"
    assert describe_non_picture("empty") == "an empty file"
    assert describe_non_picture("JPEG") is None
