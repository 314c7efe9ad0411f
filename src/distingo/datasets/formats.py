"""What a file's bytes really are, whatever its name ends in."""

from __future__ import annotations

import codecs
import re

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM video"),
    (b"%!PS", "PostScript"),
    (b"version https://git-lfs.github.com/spec/", "Git LFS pointer"),
)

_HEIF_BRANDS = {
    b"heic",
    b"heix",
    b"hevc",
    b"hevx",
    b"heim",
    b"heis",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
    b"heif",
}

_NOT_PICTURES = {
    "empty": "an empty file",
    "HTML": "an HTML page, not a picture",
    "SVG": "an SVG drawing; only pictures made of pixels can be used",
    "XML": "an XML file, not a picture",
    "JSON": "a JSON file, not a picture",
    "text": "a text file, not a picture",
    "PDF": "a PDF document, not a picture",
    "PSD": "a Photoshop document; save it as PNG or TIFF",
    "ZIP": "a ZIP archive (or an Office document), not a picture; unpack it",
    "gzip": "a gzip archive, not a picture; unpack it",
    "MP4 video": "an MP4 video, not a picture",
    "AVI video": "an AVI video, not a picture",
    "WAV audio": "a WAV sound, not a picture",
    "Matroska or WebM video": "a video, not a picture",
    "PostScript": "a PostScript document, not a picture",
    "Git LFS pointer": "a Git LFS pointer; run 'git lfs pull' to get the picture itself",
}

_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|script|meta|div|title)\b", re.IGNORECASE)
_LOOKED_AT = 2048


def detect_format(data: bytes) -> str:
    """Name the format that the first bytes speak of.

    Args:
        data: A file's content, or its first two kilobytes.

    Returns:
        For example ``JPEG``, ``HEIF``, ``HTML``; ``empty`` for no bytes, ``unknown`` where nothing fits.
    """
    if not data:
        return "empty"
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "AVI video", b"WAVE": "WAV audio"}.get(data[8:12], "unknown")
    if data[4:8] == b"ftyp":
        return _detect_container(data)
    if re.match(rb"P[1-6]\s", data):
        return "PPM"
    return _detect_text(data[:_LOOKED_AT])


def _detect_container(data: bytes) -> str:
    brands = {data[8:12], *(data[start : start + 4] for start in range(16, 64, 4))}
    if data[8:12] in {b"avif", b"avis"} or (b"avif" in brands and not brands & (_HEIF_BRANDS - {b"mif1", b"msf1"})):
        return "AVIF"
    return "HEIF" if data[8:12] in _HEIF_BRANDS else "MP4 video"


def _detect_text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "replace").encode("utf-8", "replace")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n\x00")
    if _HTML.search(text) and text.startswith(b"<"):
        return "HTML"
    if text.startswith(b"<?xml") or text.startswith(b"<svg"):
        return "SVG" if b"<svg" in text else "XML"
    if any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in text):
        return "unknown"
    try:
        # A character may be cut in two where the look ends, which an incremental decoder takes for unfinished.
        codecs.getincrementaldecoder("utf-8")().decode(text, final=len(head) < _LOOKED_AT)
    except UnicodeDecodeError:
        return "unknown"
    if text.startswith((b"{", b"[")):
        return "JSON"
    return "HTML" if _HTML.search(text) else "text"


def describe_non_picture(name: str) -> str | None:
    """Say in words what is wrong with a file of this format, or None if it could be a picture."""
    return _NOT_PICTURES.get(name)
