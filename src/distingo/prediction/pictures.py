"""The pictures that a person gives to be named: what counts as one, opening it, and finding files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.datasets.decoding import open_source
from distingo.datasets.walking import walk
from distingo.errors import UsageError, name_some
from distingo.records import Source

PictureLike = str | Path | Image.Image | np.ndarray
"""A file, a Pillow image, or uint8 pixels (height, width) or (height, width, 3)."""


def open_picture(picture: PictureLike, enough: int | None = None) -> Image.Image:
    """Open a picture, upright, in mode ``RGB`` or ``L``.

    Args:
        picture: What a person gave.
        enough: As for `distingo.datasets.decoding.decode`.

    Raises:
        UndecodableError: It is no picture, or can't be read.
    """
    if isinstance(picture, str | Path):
        return open_source(Source(str(picture), Path(picture)), enough=enough)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return image if image.mode in {"RGB", "L"} else image.convert("RGB")


def name_picture(picture: PictureLike, position: int) -> str:
    """What a prediction calls a picture: its file, else its position among those that were given."""
    return str(picture) if isinstance(picture, str | Path) else f"picture {position}"


def find_pictures(paths: Sequence[str | Path]) -> list[Path]:
    """Files as given, and every visible file below the folders given, sorted within each.

    A path that does not exist stays in the list, to be named among what can't be read.

    Raises:
        UsageError: None of the paths exists, or there is no file.
    """
    given = [Path(path) for path in paths]
    if given and not any(path.exists() for path in given):
        raise UsageError(f"{name_some([str(path) for path in given], 3)}: no such file or folder")
    found: list[Path] = []
    for path in given:
        found.extend(sorted(file.path for file in walk(path) if not file.ignored) if path.is_dir() else [path])
    if not found:
        raise UsageError(f"{', '.join(map(str, paths))}: no file in it; give pictures, or folders of them")
    return found
