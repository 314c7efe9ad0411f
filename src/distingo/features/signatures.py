"""Small gray versions of images, by which copies of one scene are found and compared.

The eight symmetries of the square: as it is, turned by quarters, mirrored, and both.

A symmetry is a number from 0 to 7, read as three bits: 4 exchanges rows and columns, then 1 mirrors left and right,
then 2 mirrors top and bottom.

Whether two signatures show the same scene: one is laid over the other as well as can be, then both are compared.

The fit is Lucas and Kanade's (An iterative image registration technique, 1981) from coarse to fine, for a shift and a
change of scale in each direction, with gain and offset of brightness fitted along; so copies that were resized,
cropped, recompressed or brightened fit, and so do two cut-outs of one image. What is compared in the end is fine
structure only: any two skies are alike in the coarse.
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
    """The gray signature of an image.

    Args:
        image: Mode ``RGB`` or ``L``.

    Returns:
        Shape (64, 64): brightness, each value the mean of its part of the image; its shape is not kept.
    """
    gray = image if image.mode == "L" else image.convert("L")
    if gray.size != (SIDE, SIDE):
        filter_ = Image.Resampling.BOX if min(gray.size) >= SIDE else Image.Resampling.BILINEAR
        gray = gray.resize((SIDE, SIDE), filter_, reducing_gap=2.0)
    return np.array(gray)


def smooth(signatures: npt.NDArray[np.uint8], widths: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Take away detail by a Gaussian.

    Args:
        signatures: uint8 (n, 64, 64).
        widths: Its standard deviation in pixels for each (n,); 0 leaves a signature as it is.

    Returns:
        New signatures, uint8 (n, 64, 64).
    """
    smoothed = signatures.copy()
    for width in np.unique(widths[widths > 0]).tolist():
        places = np.flatnonzero(widths == width)
        blurred = gaussian_filter(signatures[places].astype(np.float32), (0, width, width))
        smoothed[places] = np.clip(np.rint(blurred), 0, 255)
    return smoothed


def low_frequencies(signatures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The coarse structure of signatures, as a perceptual hash takes it before it rounds to bits.

    The 63 lowest frequencies but the mean of the discrete cosine transform (Zauner, Implementation and benchmarking of
    perceptual image hash functions, 2010), scaled to length 1: brightness and contrast leave no trace. A hash's bits
    would be quicker to compare and lose the images that were cropped a little.

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

IN_WORDS: tuple[str, ...] = (
    "",
    "mirrored",
    "mirrored and turned by 180 degrees",
    "turned by 180 degrees",
    "mirrored and turned by 90 degrees",
    "turned by 90 degrees",
    "turned by 90 degrees",
    "mirrored and turned by 90 degrees",
)
"""By symmetry, what was done to the one image or the other; which of the two ways round a quarter turn went is left
open, as the two images have no order."""


def turn(images: npt.NDArray[Any], symmetries: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
    """Apply a symmetry to every square image.

    Args:
        images: Of any dtype, shape (n, side, side).
        symmetries: One per image, shape (n,).

    Returns:
        A new array of the same shape and dtype.
    """
    turned = images.copy()
    for symmetry in np.unique(symmetries).tolist():
        places = np.flatnonzero(symmetries == symmetry)
        chosen = images[places]
        if symmetry & _TRANSPOSED:
            chosen = chosen.transpose(0, 2, 1)
        if symmetry & _ACROSS:
            chosen = chosen[:, :, ::-1]
        if symmetry & _DOWN:
            chosen = chosen[:, ::-1]
        turned[places] = chosen
    return turned


def turn_frequencies(frequencies: npt.NDArray[np.float32], symmetry: int) -> npt.NDArray[np.float32]:
    """Apply one symmetry to images given by their cosine transforms, without going back to pixels.

    Mirroring changes the sign of every odd frequency of its direction, exchanging rows and columns exchanges the two
    directions.

    Args:
        frequencies: Float32 (n, k, k), frequencies down by frequencies across.
        symmetry: The same for all.
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
"""Scale and shift across, scale and shift down: as it is, a cut-out of it, and it a cut-out of the other."""

COARSE = 8
"""By which factor signatures are shrunk for `align`."""

_FINER = (4, 2)
"""By which factors they are shrunk then, one after another, before they are compared as they are."""

_STEPS = 4

_PROMISING = {COARSE: 0.7, 4: 0.6, 2: 0.8}
"""Pairs less alike than this when shrunk by so much are given up. The coarser, the less is asked: a copy that was
cropped by a tenth and not yet laid over the other exactly is found by the finer steps."""

_WORTH_MORE = {4: 0.25, 2: 0.4}
"""So are pairs whose fine structure, as far as it shows then, is less alike than this; 99 of 100 strangers are below
0.29 and 0.21."""

_FINE_STRUCTURE = 1 / 16
"""Standard deviation, as a share of the side, of the Gaussian whose result is taken away before comparing."""

_NO_STRUCTURE = 1.5
"""Levels of brightness; an image whose fine structure varies less than this has none to be known by."""

_PARTS = 2

_LONGEST_STEP = 0.15

_SCALES = (0.6, 1.6)

_SHIFTS = (-0.45, 0.45)

_OVERLAP = 0.5


def align(first: Floats, second: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Lay pairs over each other in the coarse.

    Args:
        first: Signatures shrunk to float32 (n, 8, 8).
        second: The n to lay over them, one by one.

    Returns:
        Scale and shift across, scale and shift down, float32 (n, 4); and which pairs are alike enough for a close look.
    """
    best = np.full(len(first), -1, np.float32)
    fit = np.zeros((len(first), 4), np.float32)
    for start in _STARTS:
        found = _refine(first, second, np.tile(np.array(start, np.float32), (len(first), 1)), _STEPS)
        likeness = _correlate(first, second, found)
        better = likeness > best
        best[better], fit[better] = likeness[better], found[better]
    return fit, best >= _PROMISING[COARSE]


def compare(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], fit: Floats | None = None) -> Floats:
    """How surely pairs show the same scene.

    Args:
        first: Signatures (n, 64, 64).
        second: The n to compare them with, one by one.
        fit: Of all pairs, as `align` found it; without, pairs are aligned here, and those not alike enough are 0.

    Returns:
        Float32 (n,): the correlation of their fine structure where they overlap, from 0 to 1; 0 for pairs that are not
        alike in the coarse, overlap by less than half of either, or have no structure. Copies are at 0.8 and above.
    """
    similarity = np.zeros(len(first), np.float32)
    left = np.arange(len(first))
    if fit is None:
        fit, promising = align(shrink(first, COARSE), shrink(second, COARSE))
        left, fit = left[promising], fit[promising]
    for factor in _FINER:
        one, two = shrink(first[left], factor), shrink(second[left], factor)
        fit = _refine(one, two, fit, _STEPS)
        kept = _correlate(one, two, fit) >= _PROMISING[factor]
        alike = _correlate(_structure(one[kept]), _structure(two[kept]), fit[kept])
        # at a quarter of the size there may be none where there is some at half
        kept[kept] = (alike >= _WORTH_MORE[factor]) | ((alike == 0) & (factor != _FINER[-1]))
        left, fit = left[kept], fit[kept]
    one, two = (images[left].astype(np.float32) for images in (first, second))
    fit = _refine(one, two, fit, _STEPS)
    similarity[left] = _correlate(_structure(one), _structure(two), fit, _PARTS)
    return np.clip(similarity, 0, 1)


def _structure(images: Floats) -> Floats:
    """Images (n, side, side) without what is coarse."""
    width = _FINE_STRUCTURE * images.shape[1]
    structure: Floats = images - gaussian_filter(images, (0, width, width))
    return structure


def _refine(first: Floats, second: Floats, fit: Floats, steps: int) -> Floats:
    """Improve the fit (n, 4) by Gauss-Newton steps."""
    if not len(first):
        return fit
    side = first.shape[1]
    across = np.linspace(-1 + 1 / side, 1 - 1 / side, side, dtype=np.float32)
    slope_down, slope_across = (slope * (side / 2) for slope in np.gradient(second, axis=(1, 2)))
    for _ in range(steps):
        rows, columns, mask = _windows(fit, side)
        seen, move_across, move_down = (rows @ values @ columns for values in (second, slope_across, slope_down))
        parts = (move_across * across, move_across, move_down * across[:, None], move_down, seen, np.ones_like(seen))
        design = (np.stack(parts, axis=-1) * mask[..., None]).reshape(len(fit), -1, 6)
        wanted = (first * mask).reshape(len(fit), -1, 1)
        solution = _solve(design, wanted)
        gain = solution[:, 4:5]
        # A gain near zero says that nothing fits; the step must stay finite all the same.
        gain = np.where(np.abs(gain) < 0.2, np.copysign(0.2, gain), gain)
        fit = fit + np.clip(solution[:, :4] / gain, -_LONGEST_STEP, _LONGEST_STEP)
        fit[:, 0::2] = np.clip(fit[:, 0::2], *_SCALES)
        fit[:, 1::2] = np.clip(fit[:, 1::2], *_SHIFTS)
    return fit


def _solve(design: Floats, wanted: Floats) -> Floats:
    """Least squares of each pair, damped a little so that images without structure don't stop it."""
    transposed = design.transpose(0, 2, 1)
    normal = transposed @ design
    damping = 1e-3 * np.maximum(np.trace(normal, axis1=1, axis2=2), 1e-3)
    normal = normal + damping[:, None, None] * np.eye(6, dtype=np.float32)
    solution: Floats = np.linalg.solve(normal, transposed @ wanted)[..., 0]
    return solution


def _windows(fit: Floats, side: int) -> tuple[Floats, Floats, Floats]:
    """Interpolation matrices (n, side, side) for rows and columns, and where (n, side, side) they stay inside."""
    columns, inside_across = _interpolation(fit[:, 0], fit[:, 1], side)
    rows, inside_down = _interpolation(fit[:, 2], fit[:, 3], side)
    mask = (inside_down[:, :, None] & inside_across[:, None, :]).astype(np.float32)
    return rows, columns.transpose(0, 2, 1), mask


def _interpolation(scale: Floats, shift: Floats, side: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    across = np.linspace(-1 + 1 / side, 1 - 1 / side, side, dtype=np.float32)
    place = (scale[:, None] * across + shift[:, None] + 1) * (side / 2) - 0.5
    inside = (place > -0.5) & (place < side - 0.5)
    distance = np.clip(place, 0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32)
    return np.maximum(0, 1 - np.abs(distance)), inside


def _correlate(first: Floats, second: Floats, fit: Floats, parts: int = 1) -> Floats:
    """The correlation of each pair where they overlap, float32 (n,).

    With several parts in each direction it is the mean of their correlations, if that is less: one edge in both
    images makes no copy.
    """
    side = first.shape[1]
    rows, columns, mask = _windows(fit, side)
    seen: Floats = np.matmul(np.matmul(rows, second), columns)
    whole, structured = _correlation(_cut(first, 1), _cut(seen, 1), _cut(mask, 1))
    # a small cut-out lies wholly inside the other image, which it covers little of
    overlap = mask.mean(axis=(1, 2)) * np.maximum(fit[:, 0] * fit[:, 2], 1) >= _OVERLAP
    result = np.where(structured & overlap[:, None], whole, 0)[:, 0]
    if parts > 1:
        each, structured = _correlation(_cut(first, parts), _cut(seen, parts), _cut(mask, parts))
        mean = (each * structured).sum(axis=1) / np.maximum(structured.sum(axis=1), 1)
        result = np.minimum(result, mean)
    return result.astype(np.float32)


def _cut(values: Floats, parts: int) -> Floats:
    """(n, side, side) to (n, parts squared, pixels)."""
    count, side = values.shape[:2]
    tiles = values.reshape(count, parts, side // parts, parts, side // parts).transpose(0, 1, 3, 2, 4)
    return tiles.reshape(count, parts**2, (side // parts) ** 2)


def _correlation(one: Floats, two: Floats, mask: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Of n pairs in parts (n, parts, pixels): the correlation (n, parts), and which parts have structure in either."""
    held = np.maximum(mask.sum(axis=2), 1)
    one = (one - ((one * mask).sum(axis=2) / held)[..., None]) * mask
    two = (two - ((two * mask).sum(axis=2) / held)[..., None]) * mask
    power_one, power_two = (one**2).sum(axis=2), (two**2).sum(axis=2)
    correlation = (one * two).sum(axis=2) / np.sqrt(np.maximum(power_one * power_two, 1e-6))
    structured = np.maximum(power_one, power_two) >= _NO_STRUCTURE**2 * held
    return correlation, structured
