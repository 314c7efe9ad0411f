"""Images whose class shows in one known place, and runs that learned it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import distingo
from distingo.explanation.records import Explanation
from tiny_backbones import write_backbone

SIZE = (72, 48)
"""Width and height: what a square crop leaves lies between 12 and 60 across."""

CORNER = (40, 28, 56, 44)
"""Left, top, right and bottom of the marked part, in pixels."""

MARKED, PLAIN = "marked 猫 🐈", "plain"


def draw(seed: int, *, marked: bool) -> Image.Image:
    """Noise, with a bright red square in the lower right of the middle where it is marked."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(60, 130, (SIZE[1], SIZE[0], 3), np.uint8)
    if marked:
        left, top, right, bottom = CORNER
        pixels[top:bottom, left:right] = (250, 20, 20)
    return Image.fromarray(pixels)


def draw_corners(root: Path, *, per_class: int = 24) -> Path:
    for name, marked in ((MARKED, True), (PLAIN, False)):
        (root / name).mkdir(parents=True)
        for index in range(per_class):
            draw(index + 1000 * marked, marked=marked).save(root / name / f"{index:03}.png")
    return root


def train_corner_runs(root: Path) -> dict[str, Path]:
    """A CNN of our own and a head on a frozen random backbone that crops, on the same images."""
    data = draw_corners(root / "pictures")
    backbone = write_backbone(root / "backbone", size=64)
    common = {"cache": root / "cache", "engine": "torch"}
    cnn = {"image_size": (48, 72), "epochs": 6, "batch_size": 8, "augment": "none", "cache": root / "cache"}
    distingo.train(data, root / "cnn", model="small-cnn", **cnn)
    distingo.train(data, root / "frozen", model=str(backbone), **common)
    distingo.train(data, root / "knn", model=str(backbone), head="knn", **common)
    distingo.train(data, root / "descriptors", model="descriptors", cache=root / "cache")
    return {name: root / name for name in ("cnn", "frozen", "knn", "descriptors")}


def hottest_point(explanation: Explanation, number: int = 0) -> tuple[float, float]:
    """Where a map is hottest, in pixels across and down of an image of `SIZE`."""
    values = explanation.classes[number].heat.values
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    left, top, right, bottom = explanation.seen
    across = left + (column + 0.5) / values.shape[1] * (right - left)
    down = top + (row + 0.5) / values.shape[0] * (bottom - top)
    return across * SIZE[0], down * SIZE[1]


def is_in_corner(point: tuple[float, float], margin: float = 6) -> bool:
    left, top, right, bottom = CORNER
    return left - margin <= point[0] <= right + margin and top - margin <= point[1] <= bottom + margin
