"""Small gray versions of images, for finding and comparing images of the same scene.

The eight symmetries of the square are the identity, quarter turns, mirroring, and combinations of these.

A symmetry is a number from 0 to 7, read as three bits: 4 exchanges rows and columns, then 1 mirrors left and right,
then 2 mirrors top and bottom.

To compare two signatures, one is aligned with the other as well as possible.

The alignment is Lucas and Kanade's (An iterative image registration technique, 1981) from coarse to fine, for a shift
and a change of scale in each direction, fitted together with gain and offset of brightness; so copies that were
resized, cropped, recompressed or brightened can be aligned, and so can two crops of the same image. Finally, only the
fine structure is compared, as any two skies have similar coarse structure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

SIDE = 64
"""A signature's height and width in pixels."""

_FREQUENCIES = 8


def sign(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Compute the gray signature of an image.

    Args:
        image: Mode ``RGB`` or ``L``.

    Returns:
        Shape (64, 64): brightness, each value the mean of its part of the image; the aspect ratio is lost.
    """
    gray = image if image.mode == "L" else image.convert("L")
    if gray.size != (SIDE, SIDE):
        filter_ = Image.Resampling.BOX if min(gray.size) >= SIDE else Image.Resampling.BILINEAR
        gray = gray.resize((SIDE, SIDE), filter_, reducing_gap=2.0)
    return np.array(gray)


def smooth(signatures: npt.NDArray[np.uint8], widths: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Remove detail with a Gaussian filter.

    Args:
        signatures: uint8 (n, 64, 64).
        widths: Standard deviation of the Gaussian in pixels for each signature (n,); 0 leaves it unchanged.

    Returns:
        New signatures, uint8 (n, 64, 64).
    """
    smoothed = signatures.copy()
    for width in np.unique(widths[widths > 0]).tolist():
        indices = np.flatnonzero(widths == width)
        blurred = gaussian_filter(signatures[indices].astype(np.float32), (0, width, width))
        smoothed[indices] = np.clip(np.rint(blurred), 0, 255)
    return smoothed


def low_frequencies(signatures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The coarse structure of signatures, like a perceptual hash before it is rounded to bits.

    The 63 lowest frequencies except the mean of the discrete cosine transform (Zauner, Implementation and benchmarking
    of perceptual image hash functions, 2010), scaled to length 1, so that they do not depend on brightness and
    contrast. A hash's bits would be faster to compare, but would miss images that were cropped a little.

    Args:
        signatures: uint8 (n, 64, 64).

    Returns:
        Float32 (n, 63); the inner product of two rows is their similarity, up to 1.
    """
    halved = shrink(signatures, 2)
    lowest = dctn(halved, axes=(1, 2), norm="ortho")[:, :_FREQUENCIES, :_FREQUENCIES]
    flat = lowest.reshape(len(lowest), -1)[:, 1:]
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = (flat / np.maximum(lengths, 1e-3)).astype(np.float32)
    return scaled


def shrink(images: npt.NDArray[np.uint8] | npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """Average squares of pixels: (n, height, width) to float32 (n, height / factor, width / factor)."""
    count, height, width = images.shape
    squares = images.reshape(count, height // factor, factor, width // factor, factor)
    means: npt.NDArray[np.float32] = squares.mean(axis=(2, 4), dtype=np.float32)
    return means


SYMMETRIES = range(8)

_ACROSS, _DOWN, _TRANSPOSED = 1, 2, 4

SYMMETRY_CODES: tuple[str, ...] = (
    "",
    "mirrored",
    "mirrored-and-turned-180",
    "turned-180",
    "mirrored-and-turned-90",
    "turned-90",
    "turned-90",
    "mirrored-and-turned-90",
)
"""For each symmetry, the code of a note on what was done to one of the images; the direction of a quarter turn is left
open, as the two images have no order."""


def turn(images: npt.NDArray[Any], symmetries: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
    """Apply a symmetry to every square image.

    Args:
        images: Images of any dtype, shape (n, side, side).
        symmetries: One per image, shape (n,).

    Returns:
        A new array of the same shape and dtype.
    """
    turned = images.copy()
    for symmetry in np.unique(symmetries).tolist():
        indices = np.flatnonzero(symmetries == symmetry)
        selected = images[indices]
        if symmetry & _TRANSPOSED:
            selected = selected.transpose(0, 2, 1)
        if symmetry & _ACROSS:
            selected = selected[:, :, ::-1]
        if symmetry & _DOWN:
            selected = selected[:, ::-1]
        turned[indices] = selected
    return turned


def transform_frequencies(frequencies: npt.NDArray[np.float32], symmetry: int) -> npt.NDArray[np.float32]:
    """Apply a symmetry to images in the form of their cosine transforms, without converting them to pixels.

    Mirroring changes the sign of every odd frequency in its direction, transposing exchanges the two directions.

    Args:
        frequencies: Float32 (n, k, k), vertical by horizontal frequencies.
        symmetry: The symmetry, the same for all images.
    """
    signs = np.where(np.arange(frequencies.shape[1]) % 2, -1, 1).astype(np.float32)
    turned = frequencies.transpose(0, 2, 1) if symmetry & _TRANSPOSED else frequencies
    if symmetry & _ACROSS:
        turned = turned * signs
    if symmetry & _DOWN:
        turned = turned * signs[:, None]
    return np.ascontiguousarray(turned)


Floats = npt.NDArray[np.float32]

_STARTS = tuple((scale, 0.0, scale, 0.0) for scale in (1.0, 0.8, 1.25))
"""Initial scale and shift across, scale and shift down: equal images, the second a crop, and the first a crop."""

COARSE = 8
"""Factor that signatures are shrunk by for `align`."""

_FINER = (4, 2)
"""Factors that they are shrunk by for the next steps, before they are compared in full size."""

_STEPS = 4

_PROMISING = {COARSE: 0.7, 4: 0.6, 2: 0.8}
"""Pairs with a lower correlation when shrunk by this factor are dropped. The threshold is lower where alignment is
still inexact: a copy that was cropped by a tenth is aligned by the finer steps."""

_PROMISING_STRUCTURE = {4: 0.25, 2: 0.4}
"""So are pairs with a lower correlation of their fine structure, as far as it is visible at this factor; 99 of 100
different pairs are below 0.29 and 0.21."""

_FINE_STRUCTURE = 1 / 16
"""Standard deviation, as a share of the side, of the Gaussian that is subtracted before comparing."""

_NO_STRUCTURE = 1.5
"""In levels of brightness; an image whose fine structure varies less than this can't be compared."""

_PARTS = 2

_LONGEST_STEP = 0.15

_SCALES = (0.6, 1.6)

_SHIFTS = (-0.45, 0.45)

_OVERLAP = 0.5


def align(first: Floats, second: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Align pairs by their coarse structure.

    Args:
        first: Signatures shrunk to float32 (n, 8, 8).
        second: The n to align with them, one by one.

    Returns:
        Scale and shift across, scale and shift down, float32 (n, 4); and which pairs are similar enough to compare
        closely.
    """
    best = np.full(len(first), -1, np.float32)
    fit = np.zeros((len(first), 4), np.float32)
    for start in _STARTS:
        candidate = _refine(first, second, np.tile(np.array(start, np.float32), (len(first), 1)), _STEPS)
        correlation = _correlate(first, second, candidate)
        better = correlation > best
        best[better], fit[better] = correlation[better], candidate[better]
    return fit, best >= _PROMISING[COARSE]


def compare(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], fit: Floats | None = None) -> Floats:
    """Compute the similarity of pairs.

    Args:
        first: Signatures (n, 64, 64).
        second: The n to compare them with, one by one.
        fit: The alignment of all pairs from `align`; if None, it is computed here, and dissimilar pairs get 0.

    Returns:
        Float32 (n,): the correlation of their fine structure where they overlap, from 0 to 1; 0 for pairs that differ
        in coarse structure, overlap by less than half of either, or have no structure. Copies have 0.8 and above.
    """
    similarity = np.zeros(len(first), np.float32)
    remaining = np.arange(len(first))
    if fit is None:
        fit, promising = align(shrink(first, COARSE), shrink(second, COARSE))
        remaining, fit = remaining[promising], fit[promising]
    for factor in _FINER:
        one, two = shrink(first[remaining], factor), shrink(second[remaining], factor)
        fit = _refine(one, two, fit, _STEPS)
        passing = _correlate(one, two, fit) >= _PROMISING[factor]
        structure_correlation = _correlate(_structure(one[passing]), _structure(two[passing]), fit[passing])
        # at a quarter of the size there may be no structure although there is some at half
        passing[passing] = (structure_correlation >= _PROMISING_STRUCTURE[factor]) | (
            (structure_correlation == 0) & (factor != _FINER[-1])
        )
        remaining, fit = remaining[passing], fit[passing]
    one, two = (images[remaining].astype(np.float32) for images in (first, second))
    fit = _refine(one, two, fit, _STEPS)
    similarity[remaining] = _correlate(_structure(one), _structure(two), fit, _PARTS)
    return np.clip(similarity, 0, 1)


def _structure(images: Floats) -> Floats:
    """Remove the coarse structure from images (n, side, side)."""
    width = _FINE_STRUCTURE * images.shape[1]
    structure: Floats = images - gaussian_filter(images, (0, width, width))
    return structure


def _refine(first: Floats, second: Floats, fit: Floats, steps: int) -> Floats:
    """Improve the alignment (n, 4) by Gauss-Newton steps."""
    if not len(first):
        return fit
    side = first.shape[1]
    across = np.linspace(-1 + 1 / side, 1 - 1 / side, side, dtype=np.float32)
    slope_down, slope_across = (slope * (side / 2) for slope in np.gradient(second, axis=(1, 2)))
    for _ in range(steps):
        rows, columns, mask = _windows(fit, side)
        warped, move_across, move_down = (rows @ values @ columns for values in (second, slope_across, slope_down))
        parts = (
            move_across * across,
            move_across,
            move_down * across[:, None],
            move_down,
            warped,
            np.ones_like(warped),
        )
        design = (np.stack(parts, axis=-1) * mask[..., None]).reshape(len(fit), -1, 6)
        target = (first * mask).reshape(len(fit), -1, 1)
        solution = _solve(design, target)
        gain = solution[:, 4:5]
        # A gain near zero means that nothing matches, but the step must still be finite.
        gain = np.where(np.abs(gain) < 0.2, np.copysign(0.2, gain), gain)
        fit = fit + np.clip(solution[:, :4] / gain, -_LONGEST_STEP, _LONGEST_STEP)
        fit[:, 0::2] = np.clip(fit[:, 0::2], *_SCALES)
        fit[:, 1::2] = np.clip(fit[:, 1::2], *_SHIFTS)
    return fit


def _solve(design: Floats, target: Floats) -> Floats:
    """Solve the least-squares problem of each pair, with damping so that images without structure don't fail."""
    transposed = design.transpose(0, 2, 1)
    normal = transposed @ design
    damping = 1e-3 * np.maximum(np.trace(normal, axis1=1, axis2=2), 1e-3)
    normal = normal + damping[:, None, None] * np.eye(6, dtype=np.float32)
    solution: Floats = np.linalg.solve(normal, transposed @ target)[..., 0]
    return solution


def _windows(fit: Floats, side: int) -> tuple[Floats, Floats, Floats]:
    """Interpolation matrices (n, side, side) for rows and columns, and the mask (n, side, side) of valid pixels."""
    columns, inside_across = _interpolation(fit[:, 0], fit[:, 1], side)
    rows, inside_down = _interpolation(fit[:, 2], fit[:, 3], side)
    mask = (inside_down[:, :, None] & inside_across[:, None, :]).astype(np.float32)
    return rows, columns.transpose(0, 2, 1), mask


def _interpolation(scale: Floats, shift: Floats, side: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    across = np.linspace(-1 + 1 / side, 1 - 1 / side, side, dtype=np.float32)
    position = (scale[:, None] * across + shift[:, None] + 1) * (side / 2) - 0.5
    inside = (position > -0.5) & (position < side - 0.5)
    distance = np.clip(position, 0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32)
    return np.maximum(0, 1 - np.abs(distance)), inside


def _correlate(first: Floats, second: Floats, fit: Floats, parts: int = 1) -> Floats:
    """The correlation of each pair where the images overlap, float32 (n,).

    With several parts in each direction, it is at most the mean of their correlations, as one edge in both images does
    not make a copy.
    """
    side = first.shape[1]
    rows, columns, mask = _windows(fit, side)
    warped: Floats = np.matmul(np.matmul(rows, second), columns)
    overall, structured = _correlation(_cut(first, 1), _cut(warped, 1), _cut(mask, 1))
    # a small crop is entirely inside the other image, but covers little of it
    overlap = mask.mean(axis=(1, 2)) * np.maximum(fit[:, 0] * fit[:, 2], 1) >= _OVERLAP
    result = np.where(structured & overlap[:, None], overall, 0)[:, 0]
    if parts > 1:
        each, structured = _correlation(_cut(first, parts), _cut(warped, parts), _cut(mask, parts))
        mean = (each * structured).sum(axis=1) / np.maximum(structured.sum(axis=1), 1)
        result = np.minimum(result, mean)
    return result.astype(np.float32)


def _cut(values: Floats, parts: int) -> Floats:
    """Reshape (n, side, side) to (n, parts squared, pixels)."""
    count, side = values.shape[:2]
    tiles = values.reshape(count, parts, side // parts, parts, side // parts).transpose(0, 1, 3, 2, 4)
    return tiles.reshape(count, parts**2, (side // parts) ** 2)


def _correlation(one: Floats, two: Floats, mask: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The correlation (n, parts) of n pairs in parts (n, parts, pixels), and which parts have structure in either."""
    valid_count = np.maximum(mask.sum(axis=2), 1)
    one = (one - ((one * mask).sum(axis=2) / valid_count)[..., None]) * mask
    two = (two - ((two * mask).sum(axis=2) / valid_count)[..., None]) * mask
    power_one, power_two = (one**2).sum(axis=2), (two**2).sum(axis=2)
    correlation = (one * two).sum(axis=2) / np.sqrt(np.maximum(power_one * power_two, 1e-6))
    structured = np.maximum(power_one, power_two) >= _NO_STRUCTURE**2 * valid_count
    return correlation, structured
