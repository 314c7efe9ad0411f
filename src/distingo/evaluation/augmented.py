"""What augmentation does to one's own pictures, drawn for the eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from distingo.datasets.decoding import open_source
from distingo.datasets.gathering import read_dataset
from distingo.datasets.rendering import render
from distingo.datasets.store import Cache
from distingo.datasets.surveying import survey
from distingo.errors import UsageError, name_the_nearest
from distingo.prediction.tensors import to_tensor
from distingo.records import Rendition
from distingo.report.samples import write_contact_sheet
from distingo.training.augmentation import PRESETS, augment
from distingo.training.defaults import DataFacts, choose_recipe

_VERSIONS = 7
_PICTURES = 6


def draw_augmented(data: Path, preset: str, output: Path, *, cache: Cache, image_size: int | None, seed: int) -> Path:
    """Draw some pictures, each followed by augmented versions of it.

    Args:
        data: Folder of pictures.
        preset: Name of an augmentation preset.
        output: PNG file to write.
        cache: Where facts about files are kept.
        image_size: Side in pixels; None takes training's own choice.
        seed: Of the augmentation.

    Returns:
        `output`.

    Raises:
        UsageError: There is no such preset.
    """
    if preset not in PRESETS:
        raise UsageError(f"--augment {preset}: {name_the_nearest(preset, list(PRESETS))}")
    seen = survey(data)
    facts = DataFacts(pictures=seen.count, height=seen.height, width=seen.width, grey=seen.grey)
    wishes = {} if image_size is None else {"image_size": image_size}
    recipe, _ = choose_recipe(facts, wishes)
    rendition = Rendition(recipe.height, recipe.width, recipe.channels)
    pictures = read_dataset(data, cache=cache).pictures
    chosen = np.linspace(0, len(pictures) - 1, min(_PICTURES, len(pictures))).astype(int)
    originals = [render(open_source(pictures[at].source), rendition) for at in chosen]
    generator = torch.Generator().manual_seed(seed)
    images, captions = [], []
    for original in originals:
        batch = to_tensor(np.stack([original] * _VERSIONS))
        versions = augment(batch, PRESETS[preset], generator).clamp(0, 1)
        pixels = (versions * 255).round().byte().permute(0, 2, 3, 1).numpy()
        images += [original, *pixels]
        captions += ["original", *[""] * _VERSIONS]
    write_contact_sheet([np.squeeze(image) for image in images], captions, output, columns=_VERSIONS + 1)
    return output
