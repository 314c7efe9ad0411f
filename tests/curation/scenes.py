"""Drawn scenes with structure at every scale, as photos have it, and copies of them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter


def draw_scene(seed: int, size: int = 128) -> Image.Image:
    """A scene that is like no other seed's."""
    generator = np.random.default_rng(seed)
    values = np.zeros((size, size, 3))
    for width in (1, 2, 4, 8, 16):
        noise = gaussian_filter(generator.normal(size=(size, size, 3)), (width, width, 0))
        values += noise / noise.std()
    return Image.fromarray(np.clip(128 + 25 * values, 0, 255).astype(np.uint8))


def halve(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR)


def recompress(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def crop(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 10, 0, width, height - height // 10))


def mirror(image: Image.Image) -> Image.Image:
    return ImageOps.mirror(image)


def brighten(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.3)


COPIES = (halve, recompress, crop, mirror, brighten)
