"""CIFAR's binary files to class folders (their layout is described on the set's page).

A picture is one byte for its class (CIFAR-100: one for the coarse class, then one for the fine) and 3,072 bytes: 32
rows of 32 pixels, all red ones, then all green ones, then all blue ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distingo.download.archives import extract_archive
from distingo.download.set_layouts.writing import ClassFolders
from distingo.download.sets.record import NamedSet
from distingo.errors import DataError

_PIXELS = 3 * 32 * 32


def lay_out(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
    """Draw every picture under its (fine) class.

    Raises:
        DataError: The archive or a file in it is damaged.
    """
    folder = _unpack(named, files)
    names = _class_names(folder)
    for side, pattern in (("train", "*train*.bin"), ("train", "data_batch_*.bin"), ("test", "test*.bin")):
        for path in sorted(folder.glob(pattern)):
            _draw_file(path, side, names, folders)
    return ()


def class_names(named: NamedSet, files: Path) -> tuple[str, ...]:
    """The class names, which the archive holds.

    Raises:
        DataError: It is damaged.
    """
    return _class_names(_unpack(named, files))


def _unpack(named: NamedSet, files: Path) -> Path:
    unpacked = files / "unpacked"
    if not unpacked.exists():
        extract_archive(files / named.files[0].name, unpacked)
    found = sorted(unpacked.rglob("test*.bin"))
    if not found:
        raise DataError(f"{named.files[0].name}: holds no test*.bin; is it CIFAR's binary version?")
    return found[0].parent


def _class_names(folder: Path) -> tuple[str, ...]:
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        if (folder / name).is_file():
            return tuple((folder / name).read_text(encoding="utf-8").split())
    raise DataError(f"{folder.name}: holds no list of class names; fetch the set again")


def _draw_file(path: Path, side: str, names: tuple[str, ...], folders: ClassFolders) -> None:
    head = 2 if (path.parent / "fine_label_names.txt").is_file() else 1
    values = np.fromfile(path, np.uint8)
    if len(values) % (head + _PIXELS):
        raise DataError(f"{path.name}: breaks off in the middle of a picture; fetch the set again")
    rows = values.reshape(-1, head + _PIXELS)
    labels = rows[:, head - 1]
    if labels.max(initial=0) >= len(names):
        raise DataError(f"{path.name}: holds a class without a name; fetch the set again")
    images = rows[:, head:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    start = folders.counts[side]
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True), start):
        folders.draw(np.ascontiguousarray(image), side, names[label], number)
