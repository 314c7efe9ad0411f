"""The eight symmetries of the square: as it is, turned by quarters, mirrored, and both.

A symmetry is a number from 0 to 7, read as three bits: 4 exchanges rows and columns, then 1 mirrors left and right,
then 2 mirrors top and bottom.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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
