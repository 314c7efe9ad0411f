"""Tiny pictures drawn for tests: classes that a model can tell apart within an epoch or two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (210, 50, 40)}


def draw_classes(
    root: Path, *, per_class: int = 20, size: int = 16, names: tuple[str, ...] = ("blue", "green", "red")
) -> Path:
    """One folder per class with noisy pictures in the class's colour."""
    generator = np.random.default_rng(0)
    for name, colour in zip(names, COLOURS.values(), strict=False):
        (root / name).mkdir(parents=True)
        for index in range(per_class):
            noise = generator.integers(-30, 30, (size, size, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index:03}.png")
    return root
