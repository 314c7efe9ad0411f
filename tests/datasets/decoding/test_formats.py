"""Names of formats from first bytes."""

from __future__ import annotations

import pytest

from distingo.datasets.decoding.formats import describe_non_image, detect_format, is_unsupported
from distingo.messages.notes import note


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


def test_words_for_what_is_no_image() -> None:
    assert describe_non_image("HTML") == note("html")
    assert describe_non_image("empty") == note("empty")
    assert describe_non_image("JPEG") is None


def _tga(width: int, height: int, pixels: bytes, kind: int = 2, footer: bytes = b"") -> bytes:
    header = bytes([0, 0, kind]) + bytes(9)
    return header + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes([24, 0]) + pixels + footer


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a\x98\x40", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"qoif\0\0\0\x01", "QOI"),
        (b"DDS |\0\0\0", "DDS"),
        (b"icns\0\0\1\0", "ICNS"),
        (b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + (40).to_bytes(4, "little") + (22).to_bytes(4, "little"), "ICO"),
        (b"\0\0\2\0\1\0\x10\x10\0\0\1\0\x20\0" + (40).to_bytes(4, "little") + (22).to_bytes(4, "little"), "CUR"),
        (b"\0\0\1\0\1\0" + bytes(40), "unknown"),
        (b"\x0a\5\1\x08" + bytes(4) + b"\3\0\3\0" + bytes(53) + b"\3" + bytes(70), "PCX"),
        (_tga(2, 2, bytes(range(12))), "TGA"),
        (_tga(2, 2, bytes(range(13))), "unknown"),
        (_tga(2, 2, b"\x83\1\2\3", kind=10), "TGA"),
        (_tga(2, 2, b"\x84\1\2\3", kind=10), "unknown"),
        (_tga(2, 2, bytes(range(12)), footer=bytes(8) + b"TRUEVISION-XFILE.\0"), "TGA"),
        (b"P7\nWIDTH 1\n", "PPM"),
        (b"Pf\n1 1\n-1.0\n", "PPM"),
        (b"gimp xcf v011", "XCF"),
        (b"v/1\x01\2\0\0\0", "OpenEXR"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"SIMPLE  =                    T", "FITS"),
        (bytes(128) + b"DICM\2\0\0\0", "DICOM"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "camera raw"),
        (b"\xd7\xcd\xc6\x9a\0\0", "WMF"),
        (b"\1\0\0\0" + bytes(36) + b" EMF", "EMF"),
        (b"\0\5\x16\7\0\2\0\0", "AppleDouble"),
        (bytes(4096), "zero bytes"),
        (b"\n\n  only text that begins with a line feed", "text"),
    ],
)
def test_more_formats_are_named(data: bytes, name: str) -> None:
    assert detect_format(data) == name


def test_what_is_merely_not_read_is_not_called_damaged() -> None:
    for name in ("PSD", "DICOM", "camera raw", "SVG", "PDF", "FITS", "OpenEXR"):
        assert is_unsupported(name) and describe_non_image(name)
    for name in ("HTML", "empty", "zero bytes", "ZIP", "text", "JPEG", "unknown"):
        assert not is_unsupported(name)
