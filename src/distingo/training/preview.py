"""Augmented versions of a user's own images, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.decode import open_source
from distingo.datasets.decoding.rendering import render
from distingo.datasets.gathering import read_dataset
from distingo.datasets.tables.table import TableOptions
from distingo.prediction.networks import to_tensor
from distingo.records import Rendition, ValueRanges
from distingo.training.augmentation import PRESETS, Augmentation, augment, require_preset
from distingo.training.defaults import choose_recipe
from distingo.training.request import survey_images

VERSIONS = 7
_PICTURES = 6


def preview_augmentation(
    data: Path,
    preset: str,
    *,
    cache: Cache,
    image_size: int | None,
    seed: int,
    table: TableOptions | None = None,
    value_ranges: ValueRanges | None = None,
) -> list[list[np.ndarray]]:
    """Augment some images, each several times.

    Args:
        data: Folder of images.
        preset: Name of an augmentation preset.
        cache: Where facts about files are kept.
        image_size: Side in pixels; None takes training's own choice.
        seed: Of the augmentation.
        table: As for `distingo.datasets.layouts.detection.find_layout`.
        value_ranges: What deep images are scaled by; None lets all of them decide.

    Returns:
        One list per image: itself, then its augmented versions, each uint8 (height, width, channels).

    Raises:
        UsageError: There is no such preset.
    """
    require_preset(preset)
    facts = survey_images(data, table)
    wishes = {} if image_size is None else {"image_size": image_size}
    recipe, _ = choose_recipe(facts, {"model": "small-cnn", **wishes})
    rendition = Rendition(recipe.height, recipe.width, recipe.channels)
    pictures = read_dataset(data, cache=cache, table=table, value_ranges=value_ranges).pictures
    chosen = np.linspace(0, len(pictures) - 1, min(_PICTURES, len(pictures))).astype(int)
    originals = [render(open_source(pictures[at].source), rendition) for at in chosen]
    generator = torch.Generator().manual_seed(seed)
    return [[original, *_versions(original, PRESETS[preset], generator)] for original in originals]


def _versions(original: np.ndarray, augmentation: Augmentation, generator: torch.Generator) -> np.ndarray:
    batch = to_tensor(np.stack([original] * VERSIONS))
    augmented = augment(batch, augmentation, generator).clamp(0, 1)
    pixels: np.ndarray = (augmented * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels
