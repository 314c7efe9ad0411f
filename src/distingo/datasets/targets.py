"""The labels of images: which names they may have, and labels as arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from distingo.errors import CONTROLS
from distingo.records import LabeledImage, Task

LONGEST_NAME = 1000
"""Characters of a class's name."""


def find_name_fault(name: str) -> str:
    """Why a text can't be a class's name; empty where it can."""
    if len(name) > LONGEST_NAME:
        return f"has {len(name):,} characters, {LONGEST_NAME:,} are allowed"
    if re.search(f"[{CONTROLS}]", name):
        return "holds a control character"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "holds half of a character"
    return ""


def encode_labels(images: Sequence[LabeledImage], classes: Sequence[str], task: Task) -> np.ndarray:
    """What a model is to say about images.

    Args:
        images: n of them.
        classes: Names in the order of the model's outputs; every label is one of them.
        task: One label per image, or several.

    Returns:
        Positions of the classes, int64 (n,); with several labels bool (n, classes), a row of False for an image
        without any.
    """
    position = {name: index for index, name in enumerate(classes)}
    if task == "single-label":
        return np.array([position[image.label] for image in images], dtype=np.int64)
    table = np.zeros((len(images), len(classes)), dtype=np.bool_)
    for row, image in zip(table, images, strict=True):
        row[[position[label] for label in image.labels]] = True
    return table
