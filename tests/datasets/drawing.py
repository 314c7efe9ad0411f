"""Tiny images, drawn rather than stored."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image


def noise(seed: int, size: tuple[int, int] = (12, 10), channels: int = 3) -> Image.Image:
    """An image (width, height) of random pixels, different for every seed."""
    width, height = size
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(values if channels > 1 else values[..., 0])


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def idx_bytes(values: np.ndarray) -> bytes:
    """An array as an IDX file of unsigned bytes."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()
