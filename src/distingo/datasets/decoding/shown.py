"""Convert an image from a file or memory as viewers display it: RGB or gray, upright, 8 bits, over white."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from distingo.datasets.decoding.color_profiles import to_srgb
from distingo.datasets.decoding.pillow_files import StoredValues, orientation_of, profile_of
from distingo.datasets.decoding.value_ranges import ValueRange, ValueRanges, choose_range, opaque_value, to_eight_bits
from distingo.datasets.decoding.value_summaries import ValueSummary, require_finite, summarize_values
from distingo.records import ImageNote

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_APPEARANCE_KEYS = {"transparency", "icc_profile", "gamma", "chromaticity"}
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
    if image.mode in {"RGB", "L"} and cicp is None and not image.info.keys() & _APPEARANCE_KEYS:
        return Decoded(_upright(image, orientation), name)
    if image.mode.startswith("I") or image.mode == "F":
        profile = profile_of(image, name, cicp, gray=True)
        return show_values(StoredValues(_with_transparent_value(image), None, profile, orientation), name, value_range)
    colors, alpha = _split_alpha(image)
    profile = profile_of(image, name, cicp, gray=colors.mode == "L")
    return _finish(Decoded(colors, name), alpha, profile, orientation)


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


def _upright(image: Image.Image, orientation: int) -> Image.Image:
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
    return replace(decoded, image=_upright(image, orientation), values=values, notes=notes)


def _mixed(values: ValueSummary, content: bytes) -> ValueSummary:
    """Change the digest, as stored values that are displayed differently are a different image."""
    return replace(values, digest=hashlib.sha256(values.digest.encode() + content).hexdigest()[:32])


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split into the colors in mode ``L``, ``RGB`` or ``CMYK``, and the alpha if it is not constant."""
    gray = image.mode in {"1", "L", "LA", "La"}
    if image.mode == "La":
        image = image.convert("LA")  # the only conversion of this mode in Pillow
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        colors = layer.convert("RGB")
        return colors.getchannel("R") if gray else colors, _used_alpha(layer.getchannel("A"))
    if gray:
        return image.convert("L"), None
    if image.mode == "LAB":
        return _lab_to_rgb(image), None
    return image if image.mode == "CMYK" else image.convert("RGB"), None


def _used_alpha(alpha: Image.Image) -> Image.Image | None:
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
