from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from distingo.report.thumbnails import draw_heat, heat_address


def test_heat_lies_over_the_seen_part_only() -> None:
    image = np.full((40, 80, 3), (200, 60, 60), np.uint8)
    values = np.array([[0, 1]], np.float32)
    drawn = np.asarray(draw_heat(image, (0.25, 0.0, 0.75, 1.0), values)).astype(int)
    assert drawn.shape == (40, 80, 3)
    pale = drawn[:, :18]
    assert (pale.max(axis=2) == pale.min(axis=2)).all()
    assert pale.mean() > 200
    assert (drawn[:, 56, 0] - drawn[:, 56, 2] > 80).all()
    assert abs(drawn[:, 22, 0] - drawn[:, 22, 2]).max() < 40


def test_a_layer_has_the_images_shape_and_lets_the_cold_through() -> None:
    address = heat_address((300, 150), (0.5, 0.0, 1.0, 1.0), np.array([[0, 1]], np.float32))
    kind, _, content = address.partition(",")
    assert kind == "data:image/webp;base64"
    layer = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA")).astype(int)
    assert layer.shape == (48, 96, 4)
    assert layer[:, :46, 3].max() < 10
    assert layer[:, -4:, 3].min() > 150
    assert len(address) < 3000


def test_an_empty_map_colors_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8)
    drawn = np.asarray(draw_heat(image, (0, 0, 1, 1), np.zeros((4, 4), np.float32)))
    assert (drawn == np.asarray(Image.fromarray(image).convert("L").convert("RGB"))).all()
