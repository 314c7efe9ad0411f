"""Descriptors per second, against scikit-image: ``python benchmarks/descriptors.py [--rounds 9]``.

Both describe the same images of 135 x 240 random but smooth pixels (seed 0) on one thread, in turn within
each round, so that both meet the same disturbances; the medians over the rounds are printed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import PIL
import skimage
from PIL import Image
from skimage import color, img_as_ubyte
from skimage.feature import graycomatrix, graycoprops

from distingo.datasets.measurements import ANGLES, PROPERTIES, describe, describe_pixels


def with_scikit_image(rgb: np.ndarray, angles: tuple[int, ...] = (0,)) -> np.ndarray:
    colors = [np.histogram(rgb[..., c], bins=16, range=(0, 256), density=True)[0] for c in range(3)]
    matrix = graycomatrix(img_as_ubyte(color.rgb2gray(rgb)), [5], np.deg2rad(angles), levels=256)
    textures = np.stack([graycoprops(matrix, name)[0] for name in PROPERTIES], axis=1)
    return np.concatenate([*colors, textures.ravel()])


def smooth_images(count: int, height: int, width: int) -> list[np.ndarray]:
    """Low-frequency color with a little noise: gray levels are spread about as in photos."""
    generator = np.random.default_rng(0)
    images = []
    for _ in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (9, 16, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = fine + generator.integers(-8, 9, fine.shape)
        images.append(noisy.clip(0, 255).astype(np.uint8))
    return images


def images_per_second(function: Callable[[np.ndarray], np.ndarray], images: list[np.ndarray]) -> float:
    started = time.perf_counter()
    for image in images:
        function(image)
    return len(images) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    images = smooth_images(60, 135, 240)
    large = smooth_images(4, 1080, 1920)
    worst = max(
        float(np.abs(describe_pixels(rgb, angles="all") - with_scikit_image(rgb, ANGLES)).max()) for rgb in images[:10]
    )

    contestants: dict[str, tuple[Callable[[np.ndarray], np.ndarray], list[np.ndarray]]] = {
        "scikit-image": (with_scikit_image, images[:10]),
        "distingo": (describe_pixels, images),
        "scikit-image, all angles": (lambda rgb: with_scikit_image(rgb, ANGLES), images[:5]),
        "distingo, all angles": (lambda rgb: describe_pixels(rgb, angles="all"), images),
        "distingo, shrinking 1920x1080": (describe, large),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, (function, given) in contestants.items():
            speeds[name].append(images_per_second(function, given))

    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, ", end="")
    print(f"Pillow {PIL.__version__}, scikit-image {skimage.__version__}, {rounds} rounds")
    print(f"largest difference {worst:.1e}")
    for name, values in speeds.items():
        median = statistics.median(values)
        print(f"{name:30}{median:8.0f} images/s ({min(values):.0f} .. {max(values):.0f})")
    for kind in ("", ", all angles"):
        ratio = statistics.median(speeds["distingo" + kind]) / statistics.median(speeds["scikit-image" + kind])
        print(f"distingo{kind} is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
