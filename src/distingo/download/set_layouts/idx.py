"""IDX files to class folders: the family of MNIST."""

from __future__ import annotations

from pathlib import Path

from distingo.datasets.idx import load_images, load_labels
from distingo.download.set_layouts.writing import ClassFolders
from distingo.download.sets.record import NamedSet
from distingo.errors import DataError

_PREFIXES = {"train": "train", "test": "t10k"}


def lay_out(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
    """Draw every picture.

    Raises:
        DataError: A file is damaged, or pictures and labels don't agree.
    """
    for side, prefix in _PREFIXES.items():
        images = load_images(files / f"{prefix}-images-idx3-ubyte.gz")
        labels = load_labels(files / f"{prefix}-labels-idx1-ubyte.gz")
        if len(images) != len(labels) or labels.max(initial=0) >= len(named.classes):
            raise DataError(f"{named.name}: pictures and labels of {side} do not agree; fetch the set again")
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            folders.draw(image, side, named.classes[label], number)
    return ()
