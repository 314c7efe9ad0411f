"""Download of a well-known set, and its conversion to class folders with a license file next to them.

The supported layouts of published files are IDX files, CIFAR's binary files, class folders in an archive, and the
archives of Oxford's flowers and pets.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from distingo.datasets.corrections import DOWNLOAD_FOLDER, LICENSE_NAME
from distingo.datasets.decoding.idx import load_images, load_labels
from distingo.datasets.walking import walk
from distingo.download.archives import extract_archive
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.records import Limits, Outcome, RemoteFile
from distingo.download.sets import NamedSet, SetLayout
from distingo.errors import DataError, option
from distingo.files import write_text
from distingo.messages.notes import Note, note
from distingo.progress import progress_bar
from distingo.safe_paths import distinct_names, safe_name

_ARCHIVES = f"{DOWNLOAD_FOLDER}/archives"
_LARGEST = 4 << 30


def gather_set(
    named: NamedSet,
    output: Path,
    limits: Limits | None = None,
    *,
    raw: bool = False,
    mirror: str | None = None,
    allow_private: bool = False,
) -> Gathered:
    """Download a set.

    Args:
        named: The set.
        output: A folder: new, empty, or started by the same request.
        limits: Limits of the download; None takes the defaults, with files of up to 4 GiB.
        raw: Whether to leave the files as published.
        mirror: Base URL to download the files from instead.
        allow_private: As in `fetch`.

    Returns:
        One outcome per file of the set.

    Raises:
        DataError: A file can't be downloaded, or its content is not as expected.
        UsageError: The folder contains something else.
        ResourceError: The folder can't be written.
    """
    command = f"distingo download {named.name}{' --raw' * raw}"
    with open_folder(output, {"command": command}) as folder:
        if not raw and folder.is_finished:
            there = note("set-there-already", counts=_counted(named.images))
            return Gathered(output, _conclude(named, folder), (there,), frozenset())
        address = (mirror or named.address).rstrip("/")
        files = [
            RemoteFile(f"{address}/{file.name}", name, checksum=file.checksum, size=file.size, largest=_LARGEST)
            for file, name in zip(named.files, _names(named, raw=raw), strict=True)
        ]
        # A set is only useful if complete, so files that were refused earlier are requested again.
        outcomes = fetch(files, folder, limits, description=named.name, allow_private=allow_private, try_refused=True)
        _check_complete(named, outcomes)
        write_text(output / LICENSE_NAME, _describe(named))
        notes = () if raw else _lay_out(named, folder)
        folder.finish()
        if not raw:
            outcomes = _conclude(named, folder)
    return Gathered(output, outcomes, notes, folder.arrived)


def _names(named: NamedSet, *, raw: bool) -> list[str]:
    return [file.name if raw else f"{_ARCHIVES}/{file.name}" for file in named.files]


def _check_complete(named: NamedSet, outcomes: tuple[Outcome, ...]) -> None:
    missing = [outcome for outcome in outcomes if outcome.status != "fetched"]
    if missing:
        first = missing[0]
        name = first.name.rpartition("/")[2]
        raise DataError(
            f"{named.name}: {len(missing)} of {len(outcomes)} files can't be had ({name}: {first.reason}); "
            f"run the same command again, or name another place by {option('mirror')}",
            code="download_failed",
        )


def _lay_out(named: NamedSet, folder: DownloadFolder) -> tuple[Note, ...]:
    """Convert the archives to class folders, which get their final place when all of them are complete."""
    files, making, made = folder.root / _ARCHIVES, folder.own / "making", folder.own / "made"
    notes: tuple[Note, ...] = ()
    if not made.exists():
        for path in (making, *(path for path in files.iterdir() if path.is_dir())):
            shutil.rmtree(path, ignore_errors=True)  # left by an earlier run that was killed
        try:
            notes = _make_class_folders(named, files, making)
        except DataError:
            shutil.rmtree(making, ignore_errors=True)
            raise
        making.rename(made)
    for path in sorted(made.iterdir()):
        path.rename(folder.root / path.name)
    made.rmdir()
    return (_counted(named.images), *notes)


def _make_class_folders(named: NamedSet, files: Path, making: Path) -> tuple[Note, ...]:
    with progress_bar(f"{named.name}: class folders", sum(named.images.values())) as advance:
        folders = _ClassFolders(making, advance)
        notes = _LAYOUTS[named.layout](named, files, folders)
    if dict(folders.counts) != named.images:
        raise DataError(
            f"{named.name}: gave {_counted(folders.counts)} where {_counted(named.images)} belong; fetch it again",
            code="damaged_download",
        )
    return notes


def _conclude(named: NamedSet, folder: DownloadFolder) -> tuple[Outcome, ...]:
    """Remove the archives after all images are in place; the manifest still lists their URLs."""
    archives = [folder.outcome_of(name) for name in _names(named, raw=False)]
    outcomes = tuple(
        replace(each, file="", reason="laid out as class folders") for each in archives if each is not None
    )
    for outcome in outcomes:
        folder.record(outcome)
    folder.write_manifest()
    shutil.rmtree(folder.root / _ARCHIVES, ignore_errors=True)
    return outcomes


def _counted(images: Mapping[str, int]) -> Note:
    counts = [
        note("images-of-split", split=split, count=count) if split else note("images", count=count)
        for split, count in images.items()
    ]
    return note("set-images", counts=tuple(counts))


def _describe(named: NamedSet) -> str:
    """Return the text of the license file: license, citation and sources."""
    files = "\n".join(f"  {file.name}  {file.checksum}" for file in named.files)
    return (
        f"{named.name}: {named.title}\n{named.home}\n\nLicense: {named.license}\n\nPlease cite:\n  {named.citation}\n\n"
        f"Fetched from {named.address} ({named.served_by})\n{files}\n(checksums published by {named.checksums_from})\n"
    )


def _damaged(fault: str) -> DataError:
    return DataError(f"{fault}; fetch the set again", code="damaged_download")


class _ClassFolders:
    """Class folders under construction, inside a folder for each split."""

    def __init__(self, root: Path, advance: Callable[[], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._root = root
        self._advance = advance
        self._folders: dict[str, str] = {}

    def begin(self, classes: tuple[str, ...]) -> None:
        """Choose a folder name for each class that is valid on every system."""
        names = distinct_names([safe_name(name) for name in classes], classes)
        self._folders = dict(zip(classes, names, strict=True))

    def _path(self, split: str, label: str, name: str) -> Path:
        folder = self._root / split / self._folders[label]
        folder.mkdir(parents=True, exist_ok=True)
        self.counts[split] += 1
        self._advance()
        return folder / name

    def move(self, file: Path, split: str, label: str) -> None:
        """Move a file into its class folder."""
        target = self._path(split, label, file.name)
        if target.exists() or not file.is_file():
            raise _damaged(f"{file.name}: the set's lists name it, but it is not there once")
        file.rename(target)

    def draw(self, values: np.ndarray, split: str, label: str, number: int) -> None:
        """Write a uint8 array of shape (height, width) or (height, width, 3) as a numbered PNG file."""
        from PIL import Image

        Image.fromarray(values).save(self._path(split, label, f"{number:05}.png"), compress_level=1)


def _unpack(named: NamedSet, files: Path, at: int = 0) -> Path:
    unpacked = files / f"unpacked-{at}"
    extract_archive(files / named.files[at].name, unpacked)
    return unpacked


def _lay_out_idx(named: NamedSet, files: Path, folders: _ClassFolders) -> tuple[Note, ...]:
    folders.begin(named.classes)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = load_images(files / f"{prefix}-images-idx3-ubyte.gz")
        labels = load_labels(files / f"{prefix}-labels-idx1-ubyte.gz")
        if len(images) != len(labels) or labels.max(initial=0) >= len(named.classes):
            raise _damaged(f"{named.name}: pictures and labels of {split} do not agree")
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            folders.draw(image, split, named.classes[label], number)
    return ()


def _lay_out_cifar(named: NamedSet, files: Path, folders: _ClassFolders) -> tuple[Note, ...]:
    """Write every image to the folder of its (fine) class."""
    test_files = sorted(_unpack(named, files).rglob("test*.bin"))
    if not test_files:
        raise DataError(
            f"{named.files[0].name}: holds no test*.bin; is it CIFAR's binary version?", code="damaged_download"
        )
    folder = test_files[0].parent
    classes = _read_cifar_classes(folder)
    folders.begin(classes)
    for split, pattern in (("train", "*train*.bin"), ("train", "data_batch_*.bin"), ("test", "test*.bin")):
        for path in sorted(folder.glob(pattern)):
            _draw_cifar(path, split, classes, folders)
    return ()


def _read_cifar_classes(folder: Path) -> tuple[str, ...]:
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        if (folder / name).is_file():
            return tuple((folder / name).read_text(encoding="utf-8").split())
    raise _damaged(f"{folder.name}: holds no list of class names")


def _draw_cifar(path: Path, split: str, classes: tuple[str, ...], folders: _ClassFolders) -> None:
    """Write the images of one binary file, whose layout is described on the set's page.

    An image is one byte for the class (CIFAR-100: one for the coarse class and one for the fine class) and 3,072 bytes
    for the pixels: 32 rows of 32 pixels of the red channel, then the green, then the blue channel.
    """
    head = 2 if (path.parent / "fine_label_names.txt").is_file() else 1
    values = np.fromfile(path, np.uint8)
    if len(values) % (head + 3 * 32 * 32):
        raise _damaged(f"{path.name}: breaks off in the middle of a picture")
    rows = values.reshape(-1, head + 3 * 32 * 32)
    labels = rows[:, head - 1]
    if labels.max(initial=0) >= len(classes):
        raise _damaged(f"{path.name}: holds a class without a name")
    images = rows[:, head:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True), folders.counts[split]):
        folders.draw(np.ascontiguousarray(image), split, classes[label], number)


def _lay_out_folders(named: NamedSet, files: Path, folders: _ClassFolders) -> tuple[Note, ...]:
    unpacked = _unpack(named, files)
    class_folders = []
    for split, class_folder in named.class_folders.items():
        if not (unpacked / class_folder).is_dir():
            raise _damaged(f"{named.files[0].name}: holds no folder {class_folder}")
        class_folders += [
            (split, named.renamed.get(path.name, path.name), path)
            for path in sorted((unpacked / class_folder).iterdir())
            if path.is_dir()
        ]
    folders.begin(tuple(sorted({label for _, label, _ in class_folders})))
    for split, label, folder in class_folders:
        for path in sorted(folder.iterdir()):
            folders.move(path, split, label)
    other_files = [file for file in walk(unpacked) if not file.ignored]
    if not other_files:
        return ()
    return (note("other-files-of-archive", count=len(other_files), file=other_files[0].parts[-1]),)


_FLOWERS = {"train": "trnid", "val": "valid", "test": "tstid"}


def _lay_out_flowers(named: NamedSet, files: Path, folders: _ClassFolders) -> tuple[Note, ...]:
    """Convert an archive of numbered photos and the MATLAB files with their classes and splits."""
    (labels,) = _read_matlab(files / "imagelabels.mat", ["labels"])
    numbers = _read_matlab(files / "setid.mat", [*_FLOWERS.values()])
    folders.begin(named.classes)
    unpacked = _unpack(named, files)
    for split, own in zip(_FLOWERS, numbers, strict=True):
        for number in own:
            if not 1 <= number <= len(labels) or not 1 <= labels[number - 1] <= len(named.classes):
                raise _damaged(f"{named.name}: setid.mat and imagelabels.mat do not agree")
            label = named.classes[labels[number - 1] - 1]
            folders.move(unpacked / "jpg" / f"image_{number:05}.jpg", split, label)
    return ()


def _read_matlab(path: Path, names: list[str]) -> list[list[int]]:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except (ValueError, TypeError, RuntimeError, OSError, EOFError) as error:  # RuntimeError: the format of MATLAB 7.3
        raise _damaged(f"{path.name}: is no MATLAB file, or damaged ({error})") from error
    if not set(names) <= content.keys():
        raise _damaged(f"{path.name}: holds no {', '.join(sorted(names))}")
    return [content[name].ravel().tolist() for name in names]


def _lay_out_pets(named: NamedSet, files: Path, folders: _ClassFolders) -> tuple[Note, ...]:
    """Convert an archive of photos named by breed and the lists of their splits."""
    lists = _unpack(named, files, 1) / "annotations"
    splits = {split: _read_names(lists / name) for split, name in (("train", "trainval.txt"), ("test", "test.txt"))}
    folders.begin(tuple(sorted({_breed(name) for names in splits.values() for name in names})))
    photos = _unpack(named, files) / "images"
    for split, names in splits.items():
        for name in names:
            folders.move(photos / f"{name}.jpg", split, _breed(name))
    other_files = sum(path.is_file() for path in photos.iterdir())
    return (note("files-in-neither-list", count=other_files),) if other_files else ()


def _read_names(path: Path) -> list[str]:
    if not path.is_file():
        raise _damaged(f"annotations.tar.gz: holds no {path.name}")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def _breed(name: str) -> str:
    """Return the breed in a file name: ``American Bulldog`` for ``american_bulldog_100``."""
    return " ".join(part.title() for part in name.rpartition("_")[0].split("_"))


_LAYOUTS: dict[SetLayout, Callable[[NamedSet, Path, _ClassFolders], tuple[Note, ...]]] = {
    "idx": _lay_out_idx,
    "cifar": _lay_out_cifar,
    "folders": _lay_out_folders,
    "flowers": _lay_out_flowers,
    "pets": _lay_out_pets,
}
"""Functions that move or write every image of a set, by layout; they return notes on files that were left out."""
