"""An archive that holds class folders already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from distingo.datasets.walking import walk
from distingo.download.archives import extract_archive
from distingo.download.set_layouts.writing import ClassFolders
from distingo.download.sets.record import NamedSet
from distingo.errors import DataError


def lay_out(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
    """Move every picture into its class folder.

    Returns:
        What was left in the archive, in words.

    Raises:
        DataError: The archive is damaged or laid out otherwise.
    """
    for side, folder in _class_folders(named, files):
        for path in sorted(folder.iterdir()):
            folders.move(path, side, named.renamed.get(folder.name, folder.name))
    left = [file for file in walk(files / "unpacked") if not file.ignored]
    return (f"{len(left):,} other files of the archive are left out ({left[0].parts[-1]} ...)",) if left else ()


def class_names(named: NamedSet, files: Path) -> tuple[str, ...]:
    """The class names: the folders', or what the record calls them.

    Raises:
        DataError: As `lay_out`.
    """
    names = {folder.name for _, folder in _class_folders(named, files)}
    return tuple(sorted({named.renamed.get(name, name) for name in names}))


def _class_folders(named: NamedSet, files: Path) -> Iterator[tuple[str, Path]]:
    unpacked = files / "unpacked"
    if not unpacked.exists():
        extract_archive(files / named.files[0].name, unpacked)
    for side, inside in named.inside.items():
        if not (unpacked / inside).is_dir():
            raise DataError(f"{named.files[0].name}: holds no folder {inside}; fetch the set again")
        for folder in sorted((unpacked / inside).iterdir()):
            if folder.is_dir():
                yield side, folder
