"""The same gray images in 8 bits and in the forms that scanners, cameras and remote sensing give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Convert = Callable[[np.ndarray], np.ndarray]

FORMS: dict[str, tuple[str, Convert]] = {
    "8 bit": ("png", lambda gray: gray),
    "12 bit": ("png", lambda gray: np.rint(gray * (4095 / 255)).astype(np.uint16)),
    "float": ("tif", lambda gray: (gray / 255).astype(np.float32)),
    "no data": ("tif", lambda gray: np.where(np.arange(len(gray))[:, None] < 2, -9999, gray / 255).astype(np.float32)),
}
"""By name, the ending of the file and how gray uint8 (height, width) becomes its stored values.

All but the last turn back into the same gray values once they are scaled by the range of their data set; that has two
rows of no data, which become black.
"""


def stripes(seed: int, label: str, split: int = 32) -> np.ndarray:
    """A gray image, uint8 (side, side), of stripes that lie or stand, from black to white with noise."""
    chance = np.random.default_rng(seed)
    wave = np.sin(np.arange(split) * 2 * np.pi / chance.uniform(5, 9) + chance.uniform(0, 6))
    gray = 127.5 + 127.5 * (wave[None] if label == "standing" else wave[:, None])
    return np.rint(np.clip(gray + chance.normal(0, 20, (split, split)), 0, 255)).astype(np.uint8)


def write_image(path: Path, values: np.ndarray) -> Path:
    """Write stored values as the file that the path names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def draw_stripes(root: Path, form: str, each: int = 30) -> Path:
    """Class folders of one form; the same seed gives the same gray values in every form."""
    ending, convert = FORMS[form]
    for number, label in enumerate(("lying", "standing")):
        for at in range(each):
            gray = stripes(1000 * number + at, label)
            write_image(root / label / f"{at:03}.{ending}", convert(gray))
    return root
