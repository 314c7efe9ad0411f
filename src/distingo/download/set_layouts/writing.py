"""Pictures into class folders, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.download.file_names import distinct_names, safe_name
from distingo.errors import DataError

if TYPE_CHECKING:
    import numpy as np


class ClassFolders:
    """Class folders under way.

    Attributes:
        counts: How many pictures each side has so far.
    """

    def __init__(self, root: Path, classes: tuple[str, ...], advance: Callable[[], None]) -> None:
        """Name the folders; they are made as pictures come.

        Args:
            root: Where they are; a side's are in a folder of its name.
            classes: All class names; their folders are named so that every system takes them.
            advance: Told of every picture.
        """
        self.counts: Counter[str] = Counter()
        self._root = root
        self._advance = advance
        names = distinct_names([safe_name(name) for name in classes], classes)
        self._folders = dict(zip(classes, names, strict=True))

    def place(self, side: str, label: str, name: str) -> Path:
        """Where a picture goes; its folder is made."""
        folder = self._root / side / self._folders[label]
        folder.mkdir(parents=True, exist_ok=True)
        self.counts[side] += 1
        self._advance()
        return folder / name

    def move(self, file: Path, side: str, label: str, name: str = "") -> None:
        """Put a file among its class.

        Raises:
            DataError: There is none, or another of its name is there.
        """
        target = self.place(side, label, name or file.name)
        if target.exists() or not file.is_file():
            raise DataError(f"{file.name}: the set's lists name it, but it is not there once; fetch the set again")
        file.rename(target)

    def draw(self, values: np.ndarray, side: str, label: str, number: int) -> None:
        """Write an array as a PNG file, whose name is its number in the set.

        Args:
            values: uint8 of shape (height, width) or (height, width, 3).
            side: Its side.
            label: Its class.
            number: Its place in the side's file, from 0.
        """
        from PIL import Image

        Image.fromarray(values).save(self.place(side, label, f"{number:05}.png"), compress_level=1)
