from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distingo.curation.appearance import BINS, SIDE, describe_appearance, file_sizes, measure_light, small_images
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.records import LabeledImage, Source


def paint(path: Path, color: tuple[int, int, int], at: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (60, 40), color)
    image.putpixel((at, 0), (1, 2, 3))  # no image twice
    image.save(path)


def test_light_is_measured_as_the_standards_say() -> None:
    colors = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (40, 120, 200), (9, 9, 9)]
    pixels = np.stack([np.full((5, 7, 3), color, np.uint8) for color in colors])
    brightness, saturation = measure_light(pixels)
    for at, (red, green, blue) in enumerate(colors):
        gray = (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255
        assert brightness[at] == pytest.approx(gray, abs=1e-5)
        assert saturation[at] == pytest.approx(colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[1], abs=1e-5)


def test_each_class_has_its_mean(tmp_path: Path) -> None:
    for at in range(3):
        paint(tmp_path / "data" / "dark" / f"{at}.png", (20 * at, 0, 0), at)
        paint(tmp_path / "data" / "light" / f"{at}.png", (200, 200, 200), at + 10)
    cache = Cache(tmp_path / "cache")
    dataset = read_dataset(tmp_path / "data", Reading(cache=cache), products=[small_images(cache)])
    rows = small_images(cache).store.rows([image.content for image in dataset.images])
    sizes = file_sizes(dataset.images)
    everything, dark, light = describe_appearance(dataset, rows, sizes)
    assert [(each.name, each.number) for each in (everything, dark, light)] == [("", 6), ("dark", 3), ("light", 3)]
    assert dark.mean_image.shape == (SIDE, SIDE, 3)
    assert dark.mean_image[-1, -1].tolist() == [20, 0, 0]
    assert light.mean_color == (200, 200, 200)
    assert everything.mean_image[-1, -1].tolist() == [110, 100, 100]
    assert dark.brightness.sum() == dark.saturation.sum() == 3
    assert light.brightness[int(200 / 255 * BINS)] == 3
    assert light.median_brightness == pytest.approx(200 / 255, abs=0.01)
    assert dark.median_saturation > 0.9
    assert (
        light.median_bytes == sorted((tmp_path / "data" / "light" / f"{at}.png").stat().st_size for at in range(3))[1]
    )


def test_what_has_no_file_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"12345")
    sources = [
        Source("a.png", tmp_path / "a.png"),
        Source("gone.png", tmp_path / "gone.png"),
        Source("t10k#3", tmp_path / "a.png", 3),
    ]
    images = [LabeledImage(source, ("a",), "c", "p", 1, 1) for source in sources]
    assert file_sizes(images) == (5, None, None)
