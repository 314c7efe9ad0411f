"""Preview of augmented versions of a user's images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from distingo.datasets.decoding.decode import open_source
from distingo.datasets.decoding.rendering import render
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.prediction.networks import to_tensor
from distingo.records import ImageSpec
from distingo.training.augmentation import PRESETS, Augmentation, augment, require_preset
from distingo.training.defaults import choose_recipe
from distingo.training.request import survey_images

VERSIONS = 7
_IMAGES = 6


def preview_augmentation(
    data: Path,
    preset: str,
    *,
    reading: Reading,
    image_size: int | None,
    seed: int,
) -> list[list[np.ndarray]]:
    """Augment a sample of images, each several times.

    Args:
        data: Folder of images.
        preset: Name of an augmentation preset.
        reading: How images and labels are found and read.
        image_size: Side in pixels; None uses the default of training.
        seed: Random seed of the augmentation.

    Returns:
        One list per image: the original, then its augmented versions, each uint8 (height, width, channels).

    Raises:
        UsageError: The preset is unknown.
    """
    require_preset(preset)
    facts = survey_images(data, reading)
    options = {} if image_size is None else {"image_size": image_size}
    recipe, _ = choose_recipe(facts, {"model": "small-cnn", **options})
    image_spec = ImageSpec(recipe.height, recipe.width, recipe.channels)
    images = read_dataset(data, reading).images
    chosen = np.linspace(0, len(images) - 1, min(_IMAGES, len(images))).astype(int)
    originals = [render(open_source(images[at].source), image_spec) for at in chosen]
    generator = torch.Generator().manual_seed(seed)
    return [[original, *_versions(original, PRESETS[preset], generator)] for original in originals]


def _versions(original: np.ndarray, augmentation: Augmentation, generator: torch.Generator) -> np.ndarray:
    batch = to_tensor(np.stack([original] * VERSIONS))
    augmented = augment(batch, augmentation, generator).clamp(0, 1)
    pixels: np.ndarray = (augmented * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels
