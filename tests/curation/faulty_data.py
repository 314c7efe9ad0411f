"""A small data set with one fault of each kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scenes import crop, draw_scene, mirror


def draw_faulty(root: Path, *, each: int = 12) -> Path:
    """Two classes on two splits, distinguished by their color; with a copy, a leak, a contradiction and worse."""
    for place, (name, channel) in enumerate((("red", 0), ("blue", 2))):
        for split in ("train", "test"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for at in range(each):
                seed = 1000 * place + at + (500 if split == "test" else 0)
                pixels = np.asarray(draw_scene(seed, 96)).copy()
                pixels[..., [c for c in range(3) if c != channel]] //= 2
                Image.fromarray(pixels).save(folder / f"{at:02}.png")
    train, test = root / "train", root / "test"
    (train / "red" / "same.png").write_bytes((train / "red" / "00.png").read_bytes())
    crop(Image.open(train / "red" / "01.png")).save(train / "red" / "near.png")
    mirror(Image.open(test / "red" / "02.png")).save(train / "red" / "leak.png")
    crop(Image.open(train / "blue" / "03.png")).save(train / "red" / "contradiction.png")
    Image.new("RGB", (96, 96), (200, 200, 200)).save(train / "blue" / "empty.png")
    Image.open(train / "blue" / "05.png").save(train / "blue" / "named.gif", "PNG", compress_level=1)
    (train / "blue" / "05.png").unlink()
    (train / "blue" / "cut.png").write_bytes((train / "blue" / "06.png").read_bytes()[:5000])
    (train / "blue" / "page.jpg").write_text("<html><body>gone</body></html>", encoding="utf-8")
    return root
