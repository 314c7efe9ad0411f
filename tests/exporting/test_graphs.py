from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from distingo.datasets.decoding.rendering import render
from distingo.exporting.graphs import PIXELS, preprocessing_graph
from distingo.exporting.networks import WholeImage, resizes_in_graph
from distingo.records import ImageSpec

onnxruntime = pytest.importorskip("onnxruntime")

RENDITIONS = [
    ImageSpec(28, 20, 3),
    ImageSpec(32, 32, 1, interpolation="bicubic"),
    ImageSpec(32, 32, 3, "crop", 0.875, "bicubic"),
    ImageSpec(33, 33, 3, "crop", 0.95, "bilinear"),
    ImageSpec(24, 24, 1, "crop", 1.0, "bicubic"),
]
SIZES = [(90, 61), (61, 90), (32, 32), (24, 24), (20, 28), (17, 600), (500, 11), (201, 203), (9, 7)]
"""Heights and widths: upright, flat, as wanted already, longer than twenty to one, odd, too small."""


def photograph(height: int, width: int) -> Image.Image:
    """Smooth in places, with sharp edges in others, as photographs are."""
    generator = np.random.default_rng(height * width)
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([np.sin(rows / 7 + phase) + np.cos(columns / (5 + phase)) for phase in range(3)], axis=-1)
    pixels = np.where(waves > 1.2, 255, 127 + 60 * waves) + generator.integers(-9, 9, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def through_onnx(image: Image.Image, image_spec: ImageSpec) -> np.ndarray:
    graph = preprocessing_graph(image_spec, "images").SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (pixels,) = session.run([PIXELS], {"images": np.array(image)[None]})
    return pixels[0]


def through_torch(image: Image.Image, image_spec: ImageSpec) -> np.ndarray:
    class Nothing(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return pixels, pixels

    return WholeImage(Nothing(), image_spec)(torch.from_numpy(np.array(image)[None]))[0][0].numpy()


@pytest.mark.parametrize("image_spec", RENDITIONS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_graph_sees_what_pillow_makes_of_a_image(size: tuple[int, int], image_spec: ImageSpec) -> None:
    image = photograph(*size)
    expected = render(image, image_spec).astype(int)
    by_torch, by_onnx = through_torch(image, image_spec), through_onnx(image, image_spec)
    assert by_torch.dtype == by_onnx.dtype == np.uint8
    assert np.abs(by_torch - expected).max() <= 1
    difference = np.abs(by_onnx - expected)
    assert difference[2:-2, 2:-2].max() <= 2
    assert difference.max() <= 16, "ONNX Runtime leaves a sliver of the outermost pixels out"


def test_gray_is_pillows_gray_to_the_last_bit() -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (64, 64, 3), np.uint8))
    image_spec = ImageSpec(64, 64, 1)
    assert np.array_equal(through_onnx(image, image_spec), render(image, image_spec))
    assert np.array_equal(through_torch(image, image_spec), render(image, image_spec))


def test_what_the_graph_does_not_have_is_left_to_pillow() -> None:
    assert not resizes_in_graph(ImageSpec(32, 32, 3, interpolation="lanczos"))
    assert not resizes_in_graph(ImageSpec(32, 48, 3, "crop", 0.9))
    assert all(map(resizes_in_graph, RENDITIONS))
