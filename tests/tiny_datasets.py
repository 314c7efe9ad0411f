"""Tiny images drawn for tests: classes that a model can distinguish within an epoch or two."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLORS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (210, 50, 40)}


def draw_classes(
    root: Path, *, per_class: int = 20, size: int = 16, names: tuple[str, ...] = ("blue", "green", "red")
) -> Path:
    """One folder per class with noisy images in the class's color."""
    generator = np.random.default_rng(0)
    for name, color in zip(names, COLORS.values(), strict=False):
        (root / name).mkdir(parents=True)
        for index in range(per_class):
            noise = generator.integers(-30, 30, (size, size, 3))
            pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index:03}.png")
    return root


LABELS = ("large", "red", "round")


def draw_labels(root: Path, *, count: int = 80, size: int = 16) -> Path:
    """Shapes that are large, red and round, each or not, and a table of 0 and 1 next to them."""
    generator = np.random.default_rng(0)
    (root / "pictures").mkdir(parents=True)
    rows = []
    for index in range(count):
        has = {name: bool(index >> place & 1) for place, name in enumerate(LABELS)}
        background = tuple(int(value) for value in generator.integers(0, 40, 3))
        image = Image.new("RGB", (size, size), background)
        half = size * (0.45 if has["large"] else 0.25)
        box = (size / 2 - half, size / 2 - half, size / 2 + half, size / 2 + half)
        draw = ImageDraw.Draw(image)
        shade = int(generator.integers(180, 255))
        (draw.ellipse if has["round"] else draw.rectangle)(box, fill=(shade, 30, 30) if has["red"] else (30, 30, shade))
        image.save(root / "pictures" / f"{index:03}.png")
        rows.append([f"{index:03}", *(int(has[name]) for name in LABELS)])
    with (root / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["picture", *LABELS], *rows])
    return root
