"""Detect the actual format of a file from its bytes; and the common file extensions of images."""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from distingo.messages.notes import Note, note

_SIGNATURES: dict[str, tuple[bytes, ...]] = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "camera raw": (
        *(b"II*\x00\x10\x00\x00\x00CR", b"IIRO", b"IIRS", b"MMOR"),
        *(b"IIU\x00", b"FUJIFILMCCD-RAW", b"FOVb", b"\x00MRM"),
    ),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "JPEG 2000": (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\x00\x00\x00\x0cJXL \r\n\x87\n", b"\xff\x0a"),
    "QOI": (b"qoif",),
    "DDS": (b"DDS ",),
    "ICNS": (b"icns",),
    "PDF": (b"%PDF",),
    "PSD": (b"8BPS",),
    "XCF": (b"gimp xcf",),
    "OpenEXR": (b"v/1\x01",),
    "Radiance HDR": (b"#?RADIANCE", b"#?RGBE"),
    "FITS": (b"SIMPLE  =",),
    "JPEG XR": (b"II\xbc\x01",),
    "BPG": (b"BPG\xfb",),
    "FLIF": (b"FLIF",),
    "DjVu": (b"AT&TFORM",),
    "SGI": (b"\x01\xda",),
    "Sun raster": (b"\x59\xa6\x6a\x95",),
    "KTX": (b"\xabKTX ",),
    "WMF": (b"\xd7\xcd\xc6\x9a",),
    "NumPy array": (b"\x93NUMPY",),
    "HDF5": (b"\x89HDF\r\n\x1a\n",),
    "ZIP": (b"PK\x03\x04",),
    "gzip": (b"\x1f\x8b",),
    "RAR": (b"Rar!\x1a\x07",),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "xz": (b"\xfd7zXZ\x00",),
    "Matroska or WebM video": (b"\x1aE\xdf\xa3",),
    "PostScript": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "AppleDouble": (b"\x00\x05\x16\x07",),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/",),
}
"""Signatures by format; those of TIFF also match some raw files, which are listed first."""

_HEIF_BRANDS = frozenset(b"heic heix hevc hevx heim heis hevm hevs mif1 msf1 heif".split())

_UNSUPPORTED = {
    "SVG": "svg",
    "PDF": "pdf",
    "PostScript": "postscript",
    "WMF": "wmf",
    "EMF": "emf",
    "PSD": "psd",
    "XCF": "xcf",
    "OpenEXR": "openexr",
    "Radiance HDR": "radiance-hdr",
    "FITS": "fits",
    "DICOM": "dicom",
    "JPEG XR": "jpeg-xr",
    "camera raw": "camera-raw",
    "BPG": "bpg",
    "FLIF": "flif",
    "DjVu": "djvu",
    "Sun raster": "sun-raster",
    "KTX": "ktx",
    "NumPy array": "numpy-array",
    "HDF5": "hdf5",
}
"""Unsupported images and drawings, and the codes of messages with remedies; such files need not be damaged."""

_NOT_IMAGES = {
    "empty": "empty",
    "zero bytes": "zero-bytes",
    "HTML": "html",
    "XML": "xml",
    "JSON": "json",
    "text": "plain-text",
    "ZIP": "zip",
    "gzip": "gzip",
    "RAR": "rar",
    "7z": "7z",
    "xz": "xz",
    "MP4 video": "mp4",
    "AVI video": "avi",
    "WAV audio": "wav",
    "Matroska or WebM video": "webm",
    "AppleDouble": "appledouble",
    "Git LFS pointer": "git-lfs-pointer",
}

_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|script|meta|div|title)\b", re.IGNORECASE)

_HEAD = 2048


def detect_format(data: bytes) -> str:
    """Detect the format from the first bytes.

    Args:
        data: A file's content, or its first two kilobytes. A TGA file, which has no signature, is recognized only from
            its entire content.

    Returns:
        For example ``JPEG``, ``HEIF``, ``HTML``; ``empty`` for no bytes, ``unknown`` if nothing matches.
    """
    if not data:
        return "empty"
    name = next((name for name, signatures in _SIGNATURES.items() if data.startswith(signatures)), None)
    if name is None:
        name = _detect_by_marks(data) or _detect_text(data[:_HEAD])
    return _detect_by_header(data) if name == "unknown" else name


def detect_file_format(path: Path) -> str:
    """Detect the format from the beginning of a file, like `detect_format`.

    Raises:
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        return detect_format(file.read(_HEAD))


def _detect_by_marks(data: bytes) -> str | None:
    """Detect formats whose signatures are not at the beginning of the file."""
    if data[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "AVI video", b"WAVE": "WAV audio"}.get(data[8:12], "unknown")
    if data[4:8] == b"ftyp":
        return _detect_container(data)
    if re.match(rb"P[1-7Ff]\s", data) and not data.startswith(b"P7 332"):
        return "PPM"
    if data[128:132] == b"DICM":
        return "DICOM"
    if not data[:64].strip(b"\0") and not data.strip(b"\0"):
        return "zero bytes"
    return "EMF" if data[:4] == b"\x01\0\0\0" and data[40:44] == b" EMF" else None


def _detect_by_header(data: bytes) -> str:
    """Detect formats without a reliable signature, by checking their entire headers."""
    if _is_icon(data):
        return "ICO" if data[2] == 1 else "CUR"
    if _is_pcx(data):
        return "PCX"
    return "TGA" if _is_tga(data) else "unknown"


def _is_icon(data: bytes) -> bool:
    """Whether the directory of an ICO or CUR file is valid: its first image begins after it."""
    if data[:4] not in {b"\0\0\1\0", b"\0\0\2\0"} or len(data) < 22:
        return False
    count, size, at = int.from_bytes(data[4:6], "little"), *struct.unpack_from("<II", data, 14)
    return 0 < count <= 1024 and data[9] == 0 and size > 0 and at >= 6 + 16 * count


def _is_pcx(data: bytes) -> bool:
    if len(data) < 128 or data[0] != 10 or data[1] not in {0, 2, 3, 4, 5} or data[2] > 1:
        return False
    left, top, right, bottom = struct.unpack_from("<4H", data, 4)
    return data[3] in {1, 2, 4, 8} and left <= right and top <= bottom and data[64] == 0 and data[65] in {1, 3, 4}


def _is_tga(data: bytes) -> bool:
    """Whether a complete file is a TGA image: its header is valid, and it has the footer or the expected length."""
    if len(data) < 18:
        return False
    id_length, mapped, kind = data[:3]
    map_length, map_depth = struct.unpack_from("<HB", data, 5)
    width, height, depth, descriptor = struct.unpack_from("<HHBB", data, 12)
    depths = {1: {8}, 2: {16, 24, 32}, 3: {8, 16}}.get(kind & 7, set())
    if mapped > 1 or kind & ~11 or depth not in depths or not width or not height or descriptor & 0xC0:
        return False
    if (kind & 7 == 1) != bool(mapped) or (mapped and map_depth not in {15, 16, 24, 32}):
        return False
    if data.endswith(b"TRUEVISION-XFILE.\0"):
        return True
    length = 18 + id_length + (map_length * ((map_depth + 7) // 8) if mapped else 0)
    bytes_per_pixel = (depth + 7) // 8
    if kind & 8:
        return bool(_end_of_runs(data, length, width * height, bytes_per_pixel) == len(data))
    return bool(length + width * height * bytes_per_pixel == len(data))


def _end_of_runs(data: bytes, at: int, pixels: int, bytes_per_pixel: int) -> int:
    """The offset after the run-length encoded pixels of a TGA file; -1 if their number does not match."""
    while pixels > 0 and at < len(data):
        count = (data[at] & 127) + 1
        at += 1 + bytes_per_pixel * (1 if data[at] & 128 else count)
        pixels -= count
    return at if pixels == 0 else -1


def _detect_container(data: bytes) -> str:
    brands = {data[8:12], *(data[start : start + 4] for start in range(16, 64, 4))}
    if data[8:12] in {b"avif", b"avis"} or (b"avif" in brands and not brands & (_HEIF_BRANDS - {b"mif1", b"msf1"})):
        return "AVIF"
    if data[8:12] == b"crx ":
        return "camera raw"
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
        # The head may end within a character, which an incremental decoder treats as incomplete.
        codecs.getincrementaldecoder("utf-8")().decode(text, final=len(head) < _HEAD)
    except UnicodeDecodeError:
        return "unknown"
    if text.startswith((b"{", b"[")):
        return "JSON"
    return "HTML" if _HTML.search(text) else "text"


def describe_non_image(name: str) -> Note | None:
    """Explain why a file of this format is not a supported image; None if it could be one."""
    code = _NOT_IMAGES.get(name) or _UNSUPPORTED.get(name)
    return note(code) if code else None


def describe_unusable(name: str) -> str:
    """Explain why any format that is not accepted is not an image, as text."""
    return str(describe_non_image(name) or f"not a picture ({name})")


def is_unsupported(name: str) -> bool:
    """Whether this is an unsupported format for images or drawings, whose files need not be damaged."""
    return name in _UNSUPPORTED


ENDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
        "PNG": (".png", ".apng"),
        "GIF": (".gif",),
        "WebP": (".webp",),
        "TIFF": (".tif", ".tiff"),
        "BMP": (".bmp", ".dib"),
        "AVIF": (".avif",),
        "HEIF": (".heic", ".heif"),
        "JPEG 2000": (".jp2", ".j2k", ".jpx", ".jpf"),
        "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
        "JPEG XL": (".jxl",),
        "ICO": (".ico",),
        "CUR": (".cur",),
        "ICNS": (".icns",),
        "TGA": (".tga", ".icb", ".vda", ".vst"),
        "QOI": (".qoi",),
        "DDS": (".dds",),
        "PCX": (".pcx",),
        "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    }
)
"""File extensions in lower case by format, the most common one first."""

IMAGE_ENDINGS = frozenset(ending for endings in ENDINGS.values() for ending in endings)
