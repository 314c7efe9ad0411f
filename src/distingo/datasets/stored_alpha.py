"""Which value of a stored alpha is opaque."""

from __future__ import annotations

import numpy as np

from distingo.datasets.blocks import blocks_of

_WHITES_OF_BITS = {255: 8, 1023: 10, 4095: 12, 16383: 14, 65535: 16}
_WHITES_OF_FLOATS = (1.0, 255.0, 65535.0)
_OVERSHOOT = 1.05


def opaque_value(alpha: np.ndarray, colors: np.ndarray, bits: int | None) -> tuple[float, int | None]:
    """The value of an alpha that is opaque: its own white, as colors have theirs.

    A file that packs fewer bits than its type has says so. Else an alpha whose largest value is the white of 8, 10, 12
    or 14 bits, with no color above it, shows how many bits count in a wider type. Without that the type's largest
    value is opaque in a file; in an array, of whose type nothing can be concluded, 255 or 65535, whichever is the
    first to hold the alpha. Floats have an alpha up to 1, 255 or 65535, exceeded by no more than 5 %.

    Args:
        alpha: Integer or float, of shape (height, width).
        colors: Of the same type, of shape (height, width) or (height, width, channels).
        bits: Bits of a sample in a file; None for an array.

    Returns:
        The value, and the bits of the colors where the alpha shows them, else `bits`.
    """
    if alpha.dtype.kind == "f":
        return _opaque_float(alpha), bits
    of_type = alpha.dtype.itemsize * 8
    if alpha.dtype == np.uint8 or (bits is not None and bits < of_type):
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
