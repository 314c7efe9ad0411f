"""The Oxford-IIIT pets: an archive of photos named by breed, and lists of their sides."""

from __future__ import annotations

from pathlib import Path

from distingo.download.archives import extract_archive
from distingo.download.set_layouts.writing import ClassFolders
from distingo.download.sets.record import NamedSet
from distingo.errors import DataError

_LISTS = {"train": "trainval.txt", "test": "test.txt"}


def lay_out(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
    """Move every photo that the lists name into its breed's folder.

    Returns:
        How many files the lists leave out, in words.

    Raises:
        DataError: A file is damaged, or they don't agree.
    """
    unpacked = files / "unpacked"
    if not unpacked.exists():
        extract_archive(files / named.files[0].name, unpacked)
    for side, names in _read_lists(named, files).items():
        for name in names:
            folders.move(unpacked / "images" / f"{name}.jpg", side, _breed(name))
    left = len([path for path in (unpacked / "images").iterdir() if path.is_file()])
    return (f"{left:,} files among the photos are in neither list of the authors, and left out",) if left else ()


def class_names(named: NamedSet, files: Path) -> tuple[str, ...]:
    """The breeds that the lists name.

    Raises:
        DataError: A list is missing.
    """
    return tuple(sorted({_breed(name) for names in _read_lists(named, files).values() for name in names}))


def _read_lists(named: NamedSet, files: Path) -> dict[str, list[str]]:
    unpacked = files / "unpacked-lists"
    if not unpacked.exists():
        extract_archive(files / named.files[1].name, unpacked)
    lists = {}
    for side, name in _LISTS.items():
        path = unpacked / "annotations" / name
        if not path.is_file():
            raise DataError(f"annotations.tar.gz: holds no {name}; fetch the set again")
        lines = path.read_text(encoding="utf-8").splitlines()
        lists[side] = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return lists


def _breed(name: str) -> str:
    """``american_bulldog_100`` is an American Bulldog."""
    return " ".join(part.title() for part in name.rpartition("_")[0].split("_"))
