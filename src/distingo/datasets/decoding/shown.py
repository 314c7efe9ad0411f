"""Convert an image from a file or memory as viewers display it: RGB or gray, upright, 8 bits, over white."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from distingo.datasets.decoding.color_profiles import profile_of_png, to_srgb
from distingo.datasets.decoding.value_ranges import ValueRange, ValueRanges, choose_range, to_eight_bits
from distingo.datasets.decoding.value_summaries import ValueSummary, blocks_of, require_finite, summarize_values
from distingo.records import ImageNote

_WHITES_OF_BITS = {255: 8, 1023: 10, 4095: 12, 16383: 14, 65535: 16}

_WHITES_OF_FLOATS = (1.0, 255.0, 65535.0)

_OVERSHOOT = 1.05


def opaque_value(alpha: np.ndarray, colors: np.ndarray, bits: int | None) -> tuple[float, int | None]:
    """Determine which alpha value is opaque.

    If a file declares fewer bits than its type has, these apply. Otherwise, if the largest alpha is the white of 8, 10,
    12 or 14 bits, and no color exceeds it, it determines the number of significant bits. In other cases, the type's
    largest value is opaque for a file, and the smallest of 255 and 65535 that holds the alpha for an array, whose type
    is not conclusive. A floating-point alpha ranges up to 1, 255 or 65535, exceeded by no more than 5 %.

    Args:
        alpha: Integer or float, of shape (height, width).
        colors: Of the same type, of shape (height, width) or (height, width, channels).
        bits: Bits of a sample in a file; None for an array.

    Returns:
        The value, and the bits of the colors if the alpha determines them, else `bits`.
    """
    if alpha.dtype.kind == "f":
        return _opaque_float(alpha), bits
    type_bits = alpha.dtype.itemsize * 8
    if alpha.dtype == np.uint8 or (bits is not None and bits < type_bits):
        return float(2 ** (bits or 8) - 1), bits
    highest, largest = int(alpha.max()), int(np.iinfo(alpha.dtype).max)
    opaque = highest if highest in _WHITES_OF_BITS else largest
    if bits is None:
        opaque = next((white for white in (255, 65535) if highest <= white < opaque), opaque)
    if opaque == largest:
        return float(largest), bits
    fits = int(colors.min()) >= 0 and int(colors.max()) <= opaque
    if bits is None:
        return float(opaque), _WHITES_OF_BITS[opaque] if fits else None
    return (float(opaque), _WHITES_OF_BITS[opaque]) if fits else (float(largest), bits)


def _opaque_float(alpha: np.ndarray) -> float:
    highest = 0.0
    for block in blocks_of(alpha):
        part = alpha[block]
        finite = part[np.isfinite(part)]
        highest = max(highest, float(finite.max())) if finite.size else highest
    return next((white for white in _WHITES_OF_FLOATS if highest <= _OVERSHOOT * white), highest)


_ORIENTATION_TAG = 0x0112

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TELLING_KEYS = {"transparency", "icc_profile", "gamma", "chromaticity"}
"""Entries of a Pillow image's info that affect its appearance."""

_PIXELS_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes:
        image: Mode ``RGB`` or ``L``, upright.
        format: The actual format of the file, for example ``JPEG``.
        values: The stored values of a deep image (more than 8 bits, signed or float); None for an 8-bit one.
        notes: Codes of the minor faults that were tolerated.
        remarks: The decoder's warnings.
    """

    image: Image.Image
    format: str
    values: ValueSummary | None = None
    notes: tuple[ImageNote, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredValues:
    """The values of a deep image as stored in its file, before they are scaled to 8 bits.

    Attributes:
        values: (height, width) gray, (height, width, 2) gray with alpha, or (height, width, 3 or 4) RGB without or
            with alpha; integer or float.
        bits: As for `ValueSummary.bits`; None uses those of the type.
        profile: An ICC profile; None for sRGB.
        orientation: As in EXIF, 1 to 8.
    """

    values: np.ndarray
    bits: int | None = None
    profile: bytes | None = None
    orientation: int = 1


def show_image(
    image: Image.Image, name: str, value_range: ValueRange | ValueRanges | None = None, *, cicp: bytes | None = None
) -> Decoded:
    """Convert a Pillow image of any mode.

    Args:
        image: A loaded image.
        name: Its format, for `Decoded.format`.
        value_range: As for `decoding.decode`.
        cicp: The content of a PNG's cICP chunk.

    Returns:
        The image in mode ``RGB`` or ``L``: values scaled, colors converted to sRGB, composited over white, upright.
    """
    orientation = orientation_of(image)
    if image.mode in {"RGB", "L"} and cicp is None and not image.info.keys() & _TELLING_KEYS:
        return Decoded(_turned(image, orientation), name)
    if image.mode.startswith("I") or image.mode == "F":
        profile = profile_of(image, name, cicp, gray=True)
        return show_values(StoredValues(_with_transparent_value(image), None, profile, orientation), name, value_range)
    colors, alpha = _split(image)
    profile = profile_of(image, name, cicp, gray=colors.mode == "L")
    return _finish(Decoded(colors, name), alpha, profile, orientation)


def profile_of(image: Image.Image, name: str, cicp: bytes | None, *, gray: bool) -> bytes | None:
    """The color profile of an image opened by Pillow.

    Args:
        image: The image, loaded or not.
        name: Its format; a PNG may define its colors in its own chunks.
        cicp: As for `show_image`.
        gray: Whether its pixels are gray.

    Returns:
        An ICC profile, empty if there is an unusable one; None for sRGB.
    """
    profile: bytes | None = image.info.get("icc_profile")
    if profile is None and "icc_profile" in image.info:
        return b""  # Pillow found one that it can't unpack
    if profile is None and name == "PNG":
        return profile_of_png(image.info, cicp, gray=gray)
    return profile


def show_values(stored: StoredValues, name: str, value_range: ValueRange | ValueRanges | None = None) -> Decoded:
    """Convert an array of stored values.

    Args:
        stored: uint8 values are not scaled, all others are.
        name: Its format, for `Decoded.format`.
        value_range: As for `decoding.decode`.

    Returns:
        As for `show_image`; with a summary of the values unless they are uint8.
    """
    values, alpha, bits = _without_alpha(stored)
    profile, orientation = stored.profile, stored.orientation
    del stored  # large images need a lot of memory
    summary = None
    if values.dtype != np.uint8:
        require_finite(values, name)
        summary = summarize_values(values, bits=bits, valid=_valid(values, alpha))
        values = to_eight_bits(values, choose_range(value_range, summary))
    image = Image.fromarray(np.ascontiguousarray(values))
    del values
    return _finish(Decoded(image, name, summary), alpha, profile, orientation)


def show_parts(
    image: Image.Image,
    alpha: Image.Image | None,
    name: str,
    orientation: int,
    values: ValueSummary | None = None,
) -> Decoded:
    """Convert an image that was decoded separately from its alpha.

    Args:
        image: Mode ``L``, ``RGB``, ``CMYK`` or ``LAB``, with ``icc_profile`` in its info if it has one.
        alpha: Mode ``L``; None if the image is opaque, or the channel is unused and all zeros.
        name: Its format.
        orientation: As in EXIF, 1 to 8.
        values: As for `Decoded.values`.

    Returns:
        As for `show_image`.
    """
    profile = None if image.mode == "LAB" else image.info.get("icc_profile")
    colors = _lab_to_rgb(image) if image.mode == "LAB" else image
    return _finish(Decoded(colors, name, values), alpha, profile, orientation)


def orientation_of(image: Image.Image) -> int:
    """The orientation of an image, as in EXIF; 1 if it has none or it can't be read."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # An image with unreadable EXIF data is still an image.
        return 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    if orientation not in _UPRIGHT:
        return image
    upright = image.transpose(_UPRIGHT[orientation])
    upright.info.pop("exif", None)  # otherwise, code that opens the result would rotate it again
    upright.info.pop("xmp", None)
    return upright


def _finish(decoded: Decoded, alpha: Image.Image | None, profile: bytes | None, orientation: int) -> Decoded:
    """Convert colors to sRGB, composite over white, and rotate upright."""
    image, notes, values = decoded.image, decoded.notes, decoded.values
    if profile is not None:
        original, (image, fits) = image, to_srgb(image, profile)
        notes = notes if fits else (*notes, "profile-ignored")
        if values is not None and image is not original:
            values = _mixed(values, profile)
    if image.mode not in {"RGB", "L"}:
        image = image.convert("RGB")
    if alpha is not None:
        image = _over_white(image, alpha)
        values = None if values is None else _mixed(values, alpha.tobytes())
    if values is not None and orientation in _UPRIGHT:
        values = replace(values, digest=f"{orientation}{values.digest}"[:32])
    return replace(decoded, image=_turned(image, orientation), values=values, notes=notes)


def _mixed(values: ValueSummary, content: bytes) -> ValueSummary:
    """Change the digest, as stored values that are displayed differently are a different image."""
    return replace(values, digest=hashlib.sha256(values.digest.encode() + content).hexdigest()[:32])


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split into the colors in mode ``L``, ``RGB`` or ``CMYK``, and the alpha if it is not constant."""
    gray = image.mode in {"1", "L", "LA", "La"}
    if image.mode == "La":
        image = image.convert("LA")  # the only conversion of this mode in Pillow
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        colors = layer.convert("RGB")
        return colors.getchannel("R") if gray else colors, _telling(layer.getchannel("A"))
    if gray:
        return image.convert("L"), None
    if image.mode == "LAB":
        return _lab_to_rgb(image), None
    return image if image.mode == "CMYK" else image.convert("RGB"), None


def _telling(alpha: Image.Image) -> Image.Image | None:
    """The alpha, or None if it is constant: opaque, or an unused channel of zeros."""
    lowest, highest = alpha.getextrema()
    return None if highest == 0 or lowest == 255 else alpha


def _over_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Composite an image over white, some rows at a time, as each step needs four bytes per pixel."""
    result = Image.new(image.mode, image.size)
    width, height = image.size
    rows = max(_PIXELS_AT_ONCE // width, 1)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        layer = image.crop(box).convert("RGBA")
        layer.putalpha(alpha.crop(box))
        result.paste(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert(image.mode), box)
    return result


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None
    return converted


def _with_transparent_value(image: Image.Image) -> np.ndarray:
    """The values of a deep gray image; with an alpha channel if one value is declared transparent."""
    values = np.asarray(image)
    key = image.info.get("transparency")
    if not isinstance(key, int) or values.dtype.kind == "f":
        return values
    opaque = np.iinfo(values.dtype).max
    return np.stack([values, np.where(values == key, 0, opaque).astype(values.dtype)], axis=-1)


def _without_alpha(stored: StoredValues) -> tuple[np.ndarray, Image.Image | None, int | None]:
    """The values of the colors, the alpha in 8 bits if it is in use, and the bits of the colors."""
    values = stored.values
    if values.ndim == 2 or values.shape[2] in {1, 3}:
        return values.squeeze(2) if values.ndim == 3 and values.shape[2] == 1 else values, None, stored.bits
    colors, alpha = values[..., :-1], values[..., -1]
    colors = colors[..., 0] if colors.shape[2] == 1 else colors
    if not alpha.any():
        return colors, None, stored.bits  # an unused channel
    opaque, bits = opaque_value(alpha, colors, stored.bits)
    return colors, Image.fromarray(to_eight_bits(alpha, ValueRange(0.0, opaque))), bits


def _valid(values: np.ndarray, alpha: Image.Image | None) -> np.ndarray | None:
    """Which values count: those of pixels that are not fully transparent."""
    if alpha is None:
        return None
    is_visible = np.asarray(alpha) > 0
    return is_visible if values.ndim == 2 else np.broadcast_to(is_visible[..., None], values.shape)
