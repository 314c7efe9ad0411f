"""A well-known set: fetched, checked, laid out as class folders, with its licence beside it.

Pictures into class folders, counted.

An archive that holds class folders already.

IDX files to class folders: the family of MNIST.

CIFAR's binary files to class folders (their layout is described on the set's page).

A picture is one byte for its class (CIFAR-100: one for the coarse class, then one for the fine) and 3,072 bytes: 32
rows of 32 pixels, all red ones, then all green ones, then all blue ones.

Oxford's 102 flowers: an archive of photos by number, and MATLAB files of their classes and sides.

The Oxford-IIIT pets: an archive of photos named by breed, and lists of their sides.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distingo.datasets.decoding.idx import load_images, load_labels
from distingo.datasets.own_files import DOWNLOAD_FOLDER, LICENCE_NAME
from distingo.datasets.walking import walk
from distingo.download.archives import extract_archive
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.names import distinct_names, safe_name
from distingo.download.records import Limits, Outcome, WantedFile
from distingo.download.sets.records import NamedSet, SetLayout
from distingo.errors import DataError, option
from distingo.files import write_text
from distingo.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np


def _damaged(fault: str) -> DataError:
    return DataError(f"{fault}; fetch the set again", code="damaged_download")


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
            raise _damaged(f"{file.name}: the set's lists name it, but it is not there once")
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


def lay_out_folders(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
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


def name_classes_of_folders(named: NamedSet, files: Path) -> tuple[str, ...]:
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
            raise _damaged(f"{named.files[0].name}: holds no folder {inside}")
        for folder in sorted((unpacked / inside).iterdir()):
            if folder.is_dir():
                yield side, folder


_PREFIXES = {"train": "train", "test": "t10k"}


def lay_out_idx(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
    """Draw every picture.

    Raises:
        DataError: A file is damaged, or pictures and labels don't agree.
    """
    for side, prefix in _PREFIXES.items():
        images = load_images(files / f"{prefix}-images-idx3-ubyte.gz")
        labels = load_labels(files / f"{prefix}-labels-idx1-ubyte.gz")
        if len(images) != len(labels) or labels.max(initial=0) >= len(named.classes):
            raise _damaged(f"{named.name}: pictures and labels of {side} do not agree")
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            folders.draw(image, side, named.classes[label], number)
    return ()


_PIXELS = 3 * 32 * 32


def lay_out_cifar(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
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


def name_classes_of_cifar(named: NamedSet, files: Path) -> tuple[str, ...]:
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
        raise DataError(
            f"{named.files[0].name}: holds no test*.bin; is it CIFAR's binary version?", code="damaged_download"
        )
    return found[0].parent


def _class_names(folder: Path) -> tuple[str, ...]:
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        if (folder / name).is_file():
            return tuple((folder / name).read_text(encoding="utf-8").split())
    raise _damaged(f"{folder.name}: holds no list of class names")


def _draw_file(path: Path, side: str, names: tuple[str, ...], folders: ClassFolders) -> None:
    head = 2 if (path.parent / "fine_label_names.txt").is_file() else 1
    values = np.fromfile(path, np.uint8)
    if len(values) % (head + _PIXELS):
        raise _damaged(f"{path.name}: breaks off in the middle of a picture")
    rows = values.reshape(-1, head + _PIXELS)
    labels = rows[:, head - 1]
    if labels.max(initial=0) >= len(names):
        raise _damaged(f"{path.name}: holds a class without a name")
    images = rows[:, head:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    start = folders.counts[side]
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True), start):
        folders.draw(np.ascontiguousarray(image), side, names[label], number)


_SIDES = {"train": "trnid", "val": "valid", "test": "tstid"}


def lay_out_flowers(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
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
                raise _damaged(f"{named.name}: setid.mat and imagelabels.mat do not agree")
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
        raise _damaged(f"{path.name}: is no MATLAB file, or damaged ({error})") from error
    wanted = {"labels"} if path.name == "imagelabels.mat" else set(_SIDES.values())
    if not wanted <= content.keys():
        raise _damaged(f"{path.name}: holds no {', '.join(sorted(wanted))}")
    return content


_LISTS = {"train": "trainval.txt", "test": "test.txt"}


def lay_out_pets(named: NamedSet, files: Path, folders: ClassFolders) -> tuple[str, ...]:
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


def name_classes_of_pets(named: NamedSet, files: Path) -> tuple[str, ...]:
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
            raise _damaged(f"annotations.tar.gz: holds no {name}")
        lines = path.read_text(encoding="utf-8").splitlines()
        lists[side] = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return lists


def _breed(name: str) -> str:
    """``american_bulldog_100`` is an American Bulldog."""
    return " ".join(part.title() for part in name.rpartition("_")[0].split("_"))


@dataclass(frozen=True, slots=True)
class Layout:
    """How a set's own files become class folders.

    Attributes:
        lay_out: Moves or draws every image; returns what was left out, in words.
        name_classes: The class names, where the set's record does not have them.
    """

    lay_out: Callable[[NamedSet, Path, ClassFolders], tuple[str, ...]]
    name_classes: Callable[[NamedSet, Path], tuple[str, ...]] = lambda named, _: named.classes


LAYOUTS: dict[SetLayout, Layout] = {
    "idx": Layout(lay_out_idx),
    "cifar": Layout(lay_out_cifar, name_classes_of_cifar),
    "folders": Layout(lay_out_folders, name_classes_of_folders),
    "flowers": Layout(lay_out_flowers),
    "pets": Layout(lay_out_pets, name_classes_of_pets),
}

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
    """Fetch a set.

    Args:
        named: The set.
        output: The folder to fill.
        limits: How politely, how patiently and how much; None takes the defaults. A file may have 4 GiB.
        raw: Leave the files as they are published.
        mirror: Fetch the files from below this address instead.
        allow_private: As in `fetch`.

    Returns:
        What became of its files.

    Raises:
        DataError: A file can't be had, or is not what it should be.
        UsageError: The folder holds something else.
        ResourceError: The folder can't be written.
    """
    command = f"distingo download {named.name}{' --raw' * raw}"
    with open_folder(output, {"command": command}) as folder:
        if not raw and folder.is_finished:
            note = f"is here already: {_counted(named.pictures)}"
            return Gathered(output, _conclude(named, folder), (note,), frozenset())
        wanted = _wanted(named, mirror or named.address, raw=raw)
        # A set is whole or nothing: what was refused an earlier time is asked for again.
        outcomes = fetch(wanted, folder, limits, description=named.name, allow_private=allow_private, try_refused=True)
        _check_complete(named, outcomes)
        write_text(output / LICENCE_NAME, describe(named))
        notes = () if raw else _lay_out(named, folder)
        folder.finish()
        if not raw:
            outcomes = _conclude(named, folder)
    return Gathered(output, outcomes, notes, folder.arrived)


def _names(named: NamedSet, *, raw: bool) -> list[str]:
    return [file.name if raw else f"{_ARCHIVES}/{file.name}" for file in named.files]


def _wanted(named: NamedSet, address: str, *, raw: bool) -> list[WantedFile]:
    return [
        WantedFile(f"{address.rstrip('/')}/{file.name}", name, checksum=file.checksum, size=file.size, largest=_LARGEST)
        for file, name in zip(named.files, _names(named, raw=raw), strict=True)
    ]


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


def _lay_out(named: NamedSet, folder: DownloadFolder) -> tuple[str, ...]:
    """Make class folders of the archives, and give them their names when all are there."""
    files, making, made = folder.root / _ARCHIVES, folder.own / "making", folder.own / "made"
    notes: tuple[str, ...] = ()
    if not made.exists():
        for path in (making, *(path for path in files.iterdir() if path.is_dir())):
            shutil.rmtree(path, ignore_errors=True)  # an earlier run's, killed on the way
        try:
            notes = _make_class_folders(named, files, making)
        except DataError:
            shutil.rmtree(making, ignore_errors=True)
            raise
        making.rename(made)
    for path in sorted(made.iterdir()):
        path.rename(folder.root / path.name)
    made.rmdir()
    return (_counted(named.pictures), *notes)


def _make_class_folders(named: NamedSet, files: Path, making: Path) -> tuple[str, ...]:
    layout = LAYOUTS[named.layout]
    with progress_bar(f"{named.name}: class folders", sum(named.pictures.values())) as advance:
        folders = ClassFolders(making, named.classes or layout.name_classes(named, files), advance)
        notes = layout.lay_out(named, files, folders)
    if dict(folders.counts) != named.pictures:
        raise DataError(
            f"{named.name}: gave {_counted(folders.counts)} where {_counted(named.pictures)} belong; fetch it again",
            code="damaged_download",
        )
    return notes


def _conclude(named: NamedSet, folder: DownloadFolder) -> tuple[Outcome, ...]:
    """Remove the archives, whose pictures all have their places; the manifest keeps where they came from."""
    known = [folder.outcome_of(name) for name in _names(named, raw=False)]
    outcomes = tuple(replace(each, file="", reason="laid out as class folders") for each in known if each is not None)
    for outcome in outcomes:
        folder.record(outcome)
    folder.write_manifest()
    shutil.rmtree(folder.root / _ARCHIVES, ignore_errors=True)
    return outcomes


def _counted(pictures: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {side or 'pictures'}" for side, count in pictures.items())


def describe(named: NamedSet) -> str:
    """Licence, citation and where everything is from, for the file beside the data."""
    files = "\n".join(f"  {file.name}  {file.checksum}" for file in named.files)
    return (
        f"{named.name}: {named.title}\n{named.home}\n\nLicence: {named.licence}\n\nPlease cite:\n  {named.citation}\n\n"
        f"Fetched from {named.address} ({named.served_by})\n{files}\n(checksums published by {named.checksums_from})\n"
    )
