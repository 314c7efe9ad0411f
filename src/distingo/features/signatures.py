"""Small grey versions of pictures, by which copies of one scene are found and compared."""

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
    """The grey signature of a picture.

    Args:
        image: Mode ``RGB`` or ``L``.

    Returns:
        Shape (64, 64): brightness, each value the mean of its part of the picture; its shape is not kept.
    """
    grey = image if image.mode == "L" else image.convert("L")
    if grey.size != (SIDE, SIDE):
        filter_ = Image.Resampling.BOX if min(grey.size) >= SIDE else Image.Resampling.BILINEAR
        grey = grey.resize((SIDE, SIDE), filter_, reducing_gap=2.0)
    return np.array(grey)


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
    would be quicker to compare and lose the pictures that were cropped a little.

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


def shrink(pictures: npt.NDArray[np.uint8] | npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """Average squares of pixels: (n, height, width) to float32 (n, height / factor, width / factor)."""
    count, height, width = pictures.shape
    squares = pictures.reshape(count, height // factor, factor, width // factor, factor)
    means: npt.NDArray[np.float32] = squares.mean(axis=(2, 4), dtype=np.float32)
    return means
