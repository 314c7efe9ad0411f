"""Which endings the names of pictures have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
"""By the name of the format (`formats.detect_format`), the usual ending first; in lower case."""

PICTURE_ENDINGS = frozenset(ending for endings in ENDINGS.values() for ending in endings)
