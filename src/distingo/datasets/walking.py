"""Walk a folder in an order that does not depend on the file system, and describe its contents before decoding."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from distingo.messages.notes import Note, note
from distingo.records import LabelVariants, ManifestRow, Source, SplitName, Task, ValueRanges

_HIDDEN_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}

_HIDDEN_FOLDERS = {
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
}

_OWN_FOLDERS = {
    ("check.json", "findings.csv"): "in-check-folder",
    ("config.json", "manifest.csv"): "in-run-folder",
}
"""Files that together occur only in distingo's own folders, and the code of the reason for ignoring them."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that the walk found.

    Attributes:
        parts: The names of the folders below the root and of the file itself, as the system spells them.
        path: The file on disk.
        ignored: Why it is not a candidate; None for a candidate.
        is_unopened: Whether it is a folder that can't be opened, so that its files are unknown.
    """

    parts: tuple[str, ...]
    path: Path
    ignored: Note | None = None
    is_unopened: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is still to be opened, with the device and inode numbers of its parents."""

    parts: tuple[str, ...]
    path: Path
    ignored: Note | None = None
    above: tuple[tuple[int, int], ...] = ()


def is_hidden_folder(name: str) -> bool:
    """Whether a folder is hidden or one that programs create for themselves."""
    return name.startswith(".") or name.lower() in _HIDDEN_FOLDERS


def walk(root: Path) -> Iterator[FoundFile]:
    """Find every file below a folder; links are followed, but not in cycles.

    Args:
        root: The folder.

    Yields:
        Every file; also one entry for a link that is broken or forms a cycle, and for a folder that can't be opened.

    Raises:
        OSError: The root itself can't be opened.
    """
    # An explicit stack, as folders may be nested deeper than Python's recursion limit.
    pending: list[FoundFile | _Folder] = _open(_Folder((), root))
    while pending:
        entry = pending.pop()
        if isinstance(entry, FoundFile):
            yield entry
            continue
        try:
            pending += _open(entry)
        except OSError as error:
            reason = note("unopened-folder", error=error.strerror or type(error).__name__)
            yield FoundFile(entry.parts, entry.path, entry.ignored or reason, is_unopened=not entry.ignored)


def _open(folder: _Folder) -> list[FoundFile | _Folder]:
    """The entries of a folder, last name first; the folder itself, ignored, if it is one of its own parents."""
    status = folder.path.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in folder.above:
        return [FoundFile(folder.parts, folder.path, note("link-in-a-circle"))]
    with os.scandir(folder.path) as entries:
        sorted_entries = sorted(entries, key=lambda entry: entry.name, reverse=True)
    return [_entry(folder, entry, (*folder.above, identity)) for entry in sorted_entries]


def _entry(folder: _Folder, entry: os.DirEntry[str], above: tuple[tuple[int, int], ...]) -> FoundFile | _Folder:
    parts, path = (*folder.parts, entry.name), folder.path / entry.name
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:
        is_folder = is_file = False
    if not is_folder:
        return FoundFile(parts, path, folder.ignored or _ignored_reason(entry, is_file=is_file))
    reason = folder.ignored or (note("in-hidden-folder") if is_hidden_folder(entry.name) else _own_folder_reason(path))
    return _Folder(parts, path, reason, above)


def _own_folder_reason(folder: Path) -> Note | None:
    for names, reason in _OWN_FOLDERS.items():
        # unlike Path.is_file, this returns False also without permission
        if all(os.path.isfile(folder / name) for name in names):  # noqa: PTH113
            return note(reason)
    return None


def _ignored_reason(entry: os.DirEntry[str], *, is_file: bool) -> Note | None:
    if entry.name.startswith(".") or entry.name.lower() in _HIDDEN_FILES:
        return note("hidden-file")
    if is_file:
        return None
    return note("link-to-nowhere" if entry.is_symlink() else "no-regular-file")


def display_name(parts: tuple[str, ...]) -> str:
    r"""Write a path with forward slashes, and bytes that are not UTF-8 as ``\xNN``."""
    return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace")


SPLIT_LABELS: dict[str, SplitName] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Folder names, in lower case, that stand for splits."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file (or an entry of an IDX file) that may be an image.

    Attributes:
        source: The file or entry.
        labels: The classes of its folder or table row.
        split: The split that the dataset's author assigned, or None.
        lines: The lines of a table that refer to it.
    """

    source: Source
    labels: tuple[str, ...]
    split: SplitName | None
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """The contents of a folder before any image is decoded.

    Attributes:
        name: The kind of layout: class folders, split folders, IDX files, or a table with one 0/1 column per label.
        classes: All class names, sorted.
        candidates: Sorted by name.
        ignored: One row per file that is not a candidate, and per table row without a usable image.
        root: The folder that file names are relative to.
        task: Whether an image has exactly one label or any number.
        notes: What was recognized, and what users should know about it.
        groups: As in `Dataset.groups`.
        label_variants: As in `Dataset.label_variants`.
    """

    name: Note
    classes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    ignored: tuple[ManifestRow, ...]
    root: Path
    task: Task = "single-label"
    notes: tuple[Note, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    label_variants: tuple[LabelVariants, ...] = ()


def ignored_row(file: FoundFile, reason: Note, split: SplitName | None = None) -> ManifestRow:
    """The manifest row of a file that is not a candidate."""
    return ManifestRow(display_name(file.parts), "ignored", reason, (), split, "", 0, 0, "")


IDX_IMAGES = re.compile(r"(?P<prefix>.*?)(?P<side>train|t10k|test)-images[-.]idx3-ubyte(?P<gz>\.gz)?", re.IGNORECASE)
"""Pattern for the names of files with images."""


_ENTRY = re.compile(r"(?P<file>.+)#(?P<index>\d+)", re.DOTALL)


def source_of(root: Path, file: str, value_ranges: ValueRanges | None = None) -> Source:
    """Create the source for the ``file`` of a manifest or split.

    Args:
        root: The dataset's folder.
        file: As in `Source.file`.
        value_ranges: As in `Source.value_range`: those of the data set or of a model.

    Returns:
        The source; a missing file is only noticed when it is opened.
    """
    path = root / file
    if path.exists():
        return Source(file, path, value_range=value_ranges)
    entry = _ENTRY.fullmatch(file)
    if entry and IDX_IMAGES.fullmatch(entry["file"].rpartition("/")[2]):
        return Source(file, root / entry["file"], int(entry["index"]))
    if "\\x" in file:
        raw_file = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(0xDC00 + int(match[1], 16)), file)
        return Source(file, root / raw_file, value_range=value_ranges)
    return Source(file, path, value_range=value_ranges)


_WORDS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "trn", "trainings", "entrenamiento", "treino", "训练", "訓練"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "eval", "evaluation", "tune"), "validation"),
    **dict.fromkeys(("validacion", "validacao", "验证", "驗證"), "validation"),
    **dict.fromkeys(
        ("test", "testing", "tst", "holdout", "heldout", "prueba", "pruebas", "teste", "测试", "測試"), "test"
    ),
}
"""Words for the splits, in lower case, without accents where these are optional."""


_FILLERS = frozenset(
    {"set", "sets", "data", "dataset", "split", "folder", "dir", "images", "image", "imgs", "img", "pictures"}
    | {
        "photos",
        "jpg",
        "jpeg",
        "png",
        "label",
        "labels",
        "labelled",
        "labeled",
        "annotations",
        "metadata",
        "集",
        "数据",
    }
    | {"conjunto", "datos", "imagenes", "de", "list", "file", "files", "full", "all"}
)
"""Words that do not distinguish splits."""


_PARTS = frozenset({"part", "images", "image", "imgs", "img", "batch", "chunk", "shard", "archive", "zip", "folder"})


_UNLABELED = frozenset({"pred", "preds", "predict", "prediction", "predictions", "submission", "inference"})


_UNLABELED_MORE = frozenset({"unlabelled", "unlabeled", "unlabel", "unsup", "unsupervised", "nolabel", "nolabels"})


_WRAPPERS = frozenset(
    {"data", "dataset", "datasets", "archive", "raw", "input", "inputs", "download", "downloads", "unzipped"}
    | {"extracted", "labelled", "labeled", "v"}
)


_STRAYS = frozenset(
    {"doc", "docs", "documentation", "readme", "asset", "assets", "static", "figure", "figures", "fig", "figs", "logo"}
    | {"logos", "icon", "icons", "plot", "plots", "result", "results", "output", "outputs", "screenshot", "screenshots"}
    | {"demo", "demos", "example", "examples", "sample", "samples", "notebook", "notebooks", "resource", "resources"}
    | {"media", "misc", "web", "src", "thumbnail", "thumbnails", "preview", "previews", "images", "img"}
)


_SOURCES = frozenset(
    {"cam", "camera", "session", "seq", "sequence", "video", "clip", "batch", "part", "chunk", "shard", "fold", "run"}
    | {"source", "scan", "device", "site", "hospital", "patient", "subject"}
)
"""Words for image sources; a folder named by one with a number is not a class."""


def split_of_name(name: str, *, loose: bool = False) -> SplitName | None:
    """Recognize which split a name stands for.

    Args:
        name: Name of a folder, or of a table without its extension.
        loose: Also accept a name with other words and numbers in it, such as ``seg_train`` or ``val2017``. As a class
            may have such a name, callers need further evidence.

    Returns:
        The split; None if the name stands for none, or for several.
    """
    words = _words(name)
    splits = [split for word in words if (split := _split_of_word(word)) is not None]
    others = [word for word in words if _split_of_word(word) is None]
    if len(set(splits)) != 1:
        return None
    return splits[0] if loose or all(word in _FILLERS for word in others) else None


def split_of_path(file: str) -> SplitName | None:
    """The split of a file, by the name of the top folder in its path; None if that is not a split's name."""
    top, slash, _ = file.partition("/")
    return split_of_name(top) if slash else None


def is_unlabeled_name(name: str) -> bool:
    """Whether a folder's or table's name implies that it has no labels: ``seg_pred``, ``sample_submission``."""
    return any(word in _UNLABELED or word in _UNLABELED_MORE for word in _words(name))


def is_container_name(name: str) -> bool:
    """Whether a folder's name only means that it holds images."""
    return _key(name) in {"image", "images", "img", "imgs", "pictures", "photos", "jpegimages", "data"}


def is_part_name(name: str) -> bool:
    """Whether a name is common for one of several folders with a file per image, as for detection or segmentation."""
    return is_container_name(name) or _key(name) in {
        *("label", "labels", "mask", "masks", "annotation", "annotations", "segmentation", "segmentations"),
        *("groundtruth", "gt", "bbox", "bboxes", "boxes", "depth"),
    }


def is_wrapper_name(name: str) -> bool:
    """Whether a name is common for a folder around a data set: ``dataset``, ``archive``, ``data_v2``."""
    words = [word for word in _words(name) if not word.isdigit()]
    return bool(words) and all(word in _WRAPPERS for word in words)


def is_stray_name(name: str) -> bool:
    """Whether a name is common for images that do not belong to a data set next to them: ``docs``, ``figures``."""
    words = _words(name)
    return bool(words) and all(word in _STRAYS for word in words)


def is_source_name(name: str) -> bool:
    """Whether a folder is named by the origin or date of its images, not a class: ``camera_2``, ``2019-05-01``."""
    words = _words(name)
    numbers = [word for word in words if word.isdigit()]
    if words and len(numbers) == len(words):
        year = re.fullmatch(r"(19|20)\d\d(\d\d){0,2}", words[0])
        return year is not None and len(words) <= 3
    return (
        bool(numbers)
        and any(word in _SOURCES for word in words)
        and all(word in _SOURCES or word.isdigit() for word in words)
    )


def are_numbered_parts(names: Iterable[str]) -> bool:
    """Whether folders' names differ in a number only and mean parts: ``images_001``, ``images_002``."""
    all_names = list(names)
    return differ_in_a_number(all_names) and not _PARTS.isdisjoint(_words(all_names[0]))


def differ_in_a_number(names: Iterable[str]) -> bool:
    """Whether two or more names have the same words and a number each: ``patient 1``, ``patient 2``."""
    words_by_name = [_words(name) for name in names]
    words = {tuple(word for word in each if not word.isdigit()) for each in words_by_name}
    return (
        len(words_by_name) > 1
        and all(any(word.isdigit() for word in each) for each in words_by_name)
        and len(words) == 1
    )


def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _words(name: str) -> list[str]:
    """Split a name into words, in lower case and without accents, at numbers and changes of case."""
    stripped = unicodedata.normalize("NFKD", name)
    stripped = unicodedata.normalize("NFC", "".join(char for char in stripped if not unicodedata.combining(char)))
    if stripped.lower().replace("-", "").replace("_", "").replace(" ", "") in {"holdout", "heldout"}:
        return ["holdout"]
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stripped)
    return [word.lower() for word in re.findall(r"[^\W\d_]+|\d+", spaced)]


@lru_cache(maxsize=4096)
def _split_of_word(word: str) -> SplitName | None:
    """The split of a single word: ``train``, or with a filler ``trainset`` and ``testdata``."""
    if word in _WORDS:
        return _WORDS[word]
    for split_word, split in _WORDS.items():
        if word.startswith(split_word) and word[len(split_word) :] in _FILLERS:
            return split
    return None
