"""Valid class names, and the labels of images as arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from distingo.errors import CONTROLS
from distingo.records import LabeledImage, Task

LONGEST_NAME = 1000
"""Maximum number of characters in a class name."""


def find_name_fault(name: str) -> str:
    """Explain why a text can't be a class name; empty if it can."""
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
    """Encode the labels of images as training targets.

    Args:
        images: n of them.
        classes: Names in the order of the model's outputs; every label is one of them.
        task: Single-label or multi-label.

    Returns:
        Class indices, int64 of shape (n,); for multi-label bool of shape (n, classes), with a row of False for an image
        without labels.
    """
    position = {name: index for index, name in enumerate(classes)}
    if task == "single-label":
        return np.array([position[image.label] for image in images], dtype=np.int64)
    table = np.zeros((len(images), len(classes)), dtype=np.bool_)
    for row, image in zip(table, images, strict=True):
        row[[position[label] for label in image.labels]] = True
    return table
