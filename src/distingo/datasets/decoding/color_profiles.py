"""Convert images with embedded color profiles (ICC, and PNG's own chunks) to sRGB, as viewers display them."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

_SRGB_GAMMA = 0.45455

_SRGB_WHITE_AND_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)

_SAME_GAMMA, _SAME_CHROMATICITY = 0.0005, 0.002

_SAME_LEVELS = 2
"""A profile that changes the colors of a lattice by at most this number of 255 levels counts as sRGB."""

_LATTICE_STEPS = 9

_D50 = np.array([0.9642, 1.0, 0.8249])

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

# By the codes of ITU-T H.273, as in PNG's cICP chunk: white and primaries; gamma, None for sRGB's own curve.
_CICP_PRIMARIES: Mapping[int, tuple[float, ...]] = {
    1: _SRGB_WHITE_AND_PRIMARIES,
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}

_CICP_GAMMA: Mapping[int, float | None] = {1: None, 4: 1 / 2.2, 5: 1 / 2.8, 6: None, 8: 1.0, 13: None, 14: None}


@dataclass(frozen=True, slots=True)
class _Conversion:
    """The effect of a profile on images of one mode.

    Attributes:
        fits: Whether the profile is valid and matches the kind of image (gray, RGB or CMYK).
        transform: Pillow's transform to RGB; None if nothing changes.
        levels: For gray images, the new value of each of the 256 levels; None if nothing changes.
    """

    fits: bool
    transform: Any = None
    levels: tuple[int, ...] | None = None


def to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, bool]:
    """Convert an image's colors from an embedded profile to sRGB.

    The rendering intent is perceptual with black point compensation, as in viewers; for ordinary profiles of matrix and
    curves it equals relative colorimetric. Transforms are cached by the profile's bytes, and one that changes no color
    by more than 2 of 255 levels is treated as sRGB, so that ordinary photos cost nothing.

    Args:
        image: Mode ``L``, ``RGB`` or ``CMYK``.
        profile: The ICC profile.

    Returns:
        The image, converted to ``RGB`` if it was CMYK, and whether the profile could be used. If not (it is broken, or
        for another kind of image), the image is unchanged.
    """
    conversion = _conversion(profile, image.mode)
    if conversion.levels is not None:
        return image.point(conversion.levels), True
    if conversion.transform is None:
        return image, conversion.fits
    return conversion.transform.apply(image), True


@functools.lru_cache(maxsize=32)
def _conversion(profile: bytes, mode: str) -> _Conversion:
    from PIL import ImageCms

    if not profile:
        return _Conversion(fits=False)
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = parsed.profile.xcolor_space.strip()
    except Exception:  # Pillow raises OSError, PyCMSError and whatever lcms2 makes of the bytes
        return _Conversion(fits=False)
    if mode == "L" and space == "RGB":
        # The profile of the color image that this one was made from: like in browsers, it only counts if it is sRGB.
        return _Conversion(fits=_conversion(profile, "RGB").transform is None and _conversion(profile, "RGB").fits)
    if space != {"L": "GRAY"}.get(mode, mode):
        return _Conversion(fits=False)
    try:
        transform = ImageCms.buildTransform(
            parsed,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return _lookup(transform) if mode == "L" else _comparison(transform, mode)
    except Exception:
        return _Conversion(fits=False)


def _lookup(transform: Any) -> _Conversion:
    """Convert a gray profile to a table of 256 levels."""
    ramp = np.arange(256, dtype=np.uint8)[None]
    levels = np.asarray(transform.apply(Image.fromarray(ramp)))[0, :, 1]
    if np.abs(levels.astype(int) - ramp[0]).max() <= _SAME_LEVELS:
        return _Conversion(fits=True)
    return _Conversion(fits=True, levels=tuple(levels.tolist()))


def _comparison(transform: Any, mode: str) -> _Conversion:
    """Compare a color profile with sRGB by its effect on a lattice of colors."""
    if mode != "RGB":
        return _Conversion(fits=True, transform=transform)
    steps = np.linspace(0, 255, _LATTICE_STEPS).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(_LATTICE_STEPS, -1, 3)
    converted = np.asarray(transform.apply(Image.fromarray(lattice)))
    is_srgb = np.abs(converted.astype(int) - lattice).max() <= _SAME_LEVELS
    return _Conversion(fits=True, transform=None if is_srgb else transform)


def profile_of_png(info: Mapping[Any, Any], cicp: Sequence[int] | None, *, gray: bool) -> bytes | None:
    """The profile defined by a PNG file's cICP chunk, or else by gAMA and cHRM, interpreted like in browsers.

    Args:
        info: The Pillow image's info; an ICC profile or an sRGB chunk in it takes precedence over gAMA and cHRM.
        cicp: The four bytes of the cICP chunk; None if there is none.
        gray: Whether the image is gray, so that only the gamma matters.

    Returns:
        An ICC profile; None if the image is sRGB already, or if the chunk defines high dynamic range.
    """
    if cicp is not None:
        primaries, gamma = _CICP_PRIMARIES.get(cicp[0]), _CICP_GAMMA.get(cicp[1], _SRGB_GAMMA)
        is_supported = primaries is not None and cicp[1] in _CICP_GAMMA
        return _describe(primaries, gamma, gray=gray) if is_supported and primaries is not None else None
    if "srgb" in info or not ("gamma" in info or "chromaticity" in info):
        return None
    gamma = float(info.get("gamma", 0)) or None
    primaries = tuple(float(number) for number in info.get("chromaticity", _SRGB_WHITE_AND_PRIMARIES))
    if gamma is not None and abs(gamma - _SRGB_GAMMA) <= _SAME_GAMMA:
        gamma = None  # 1/2.2 is PNG's approximation of sRGB's own curve
    return _describe(primaries, gamma, gray=gray)


def _describe(primaries: Sequence[float], gamma: float | None, *, gray: bool) -> bytes | None:
    is_srgb = np.abs(np.subtract(primaries, _SRGB_WHITE_AND_PRIMARIES)).max() <= _SAME_CHROMATICITY
    if gamma is None and (is_srgb or gray):
        return None
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            return _gray_profile(gamma) if gray else _matrix_profile(primaries, gamma)
    except (np.linalg.LinAlgError, ZeroDivisionError, struct.error, ValueError, OverflowError):
        return b""  # invalid chunks result in an unusable profile


def _gray_profile(gamma: float | None) -> bytes:
    return _write_profile(b"GRAY", {b"wtpt": _xyz(_D50), b"kTRC": _curve(gamma)})


def _matrix_profile(primaries: Sequence[float], gamma: float | None) -> bytes:
    white, *corners = (np.array([x, y, 1 - x - y]) / y for x, y in np.reshape(primaries, (4, 2)))
    columns = np.stack(corners, axis=1)
    matrix = columns * np.linalg.solve(columns, white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD @ matrix
    tags = {b"wtpt": _xyz(_D50)}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), adapted.T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma))
    return _write_profile(b"RGB ", tags)


def _xyz(numbers: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(number) * 65536) for number in numbers))


def _curve(gamma: float | None) -> bytes:
    """A tone curve with 1,024 points from stored value to linear light; None is sRGB's."""
    stored = np.linspace(0, 1, 1024)
    if gamma is None:
        linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    else:
        linear = stored ** (1 / gamma)
    points: bytes = np.rint(linear * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + points


def _write_profile(space: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """Serialize an ICC profile of version 2.1 (ICC.1:1998-09): header, tag table, tags."""
    all_tags = {b"desc": b"desc\0\0\0\0\0\0\0\4PNG\0" + bytes(78), b"cprt": b"text\0\0\0\0none\0", **tags}
    start = 132 + 12 * len(all_tags)
    table, content = struct.pack(">I", len(all_tags)), b""
    for name, tag in all_tags.items():
        table += name + struct.pack(">II", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(content), b"lcms", 0x02100000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return header.ljust(128, b"\0") + table + content
