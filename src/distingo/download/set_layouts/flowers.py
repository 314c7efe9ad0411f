"""Oxford's 102 flowers: an archive of photos by number, and MATLAB files of their classes and sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distingo.download.archives import extract_archive
from distingo.download.set_layouts.writing import ClassFolders
from distingo.download.sets.record import NamedSet
from distingo.errors import DataError

_SIDES = {"train": "trnid", "val": "valid", "test": "tstid"}


def lay_out(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
    """Move every photo into its class folder.

    Raises:
        DataError: A file is damaged, or they don't agree.
    """
    labels = _read(files / "imagelabels.mat")["labels"].ravel().tolist()
    sides = _read(files / "setid.mat")
    unpacked = files / "unpacked"
    extract_archive(files / "102flowers.tgz", unpacked)
    for side, key in _SIDES.items():
        for number in sides[key].ravel().tolist():
            if not 1 <= number <= len(labels) or not 1 <= labels[number - 1] <= len(named.classes):
                raise DataError(f"{named.name}: setid.mat and imagelabels.mat do not agree; fetch the set again")
            label = named.classes[labels[number - 1] - 1]
            folders.move(unpacked / "jpg" / f"image_{number:05}.jpg", side, label)
    return ()


def _read(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        content: dict[str, Any] = loadmat(path)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        OSError,
        EOFError,
    ) as error:  # RuntimeError: MATLAB 7.3, another format
        raise DataError(f"{path.name}: is no MATLAB file, or damaged ({error}); fetch the set again") from error
    wanted = {"labels"} if path.name == "imagelabels.mat" else set(_SIDES.values())
    if not wanted <= content.keys():
        raise DataError(f"{path.name}: holds no {', '.join(sorted(wanted))}; fetch the set again")
    return content
