"""The folders of a data set as a tree, the split that a folder's name stands for, and records of split folders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath

from distingo.datasets.walking import FoundFile, display_name
from distingo.messages.notes import Note
from distingo.records import SPLITS, SplitName

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


_NO_IMAGE_ENDINGS = frozenset(
    {".txt", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".xml", ".yaml", ".yml", ".md", ".html"}
    | {".pdf", ".mat", ".npy", ".npz", ".pkl", ".py", ".ipynb", ".xlsx", ".xls", ".log", ".zip", ".gz", ".tar", ".db"}
    | {".h5", ".pt", ".sh", ".ini", ".toml", ".rst", ".docx", ".cfg", ".names", ".rtf", ".ods", ".sqlite", ".m"}
)

_NO_IMAGE_NAMES = frozenset({"license", "licence", "readme", "copying", "notice", "makefile", "citation", "changelog"})

DEEPEST_WRAPPER = 3
"""Maximum number of folders wrapped around a data set."""


@dataclass(slots=True)
class Folder:
    """A folder that contains images, directly or in its subfolders.

    Attributes:
        parts: The folder names from the root down to it.
        folders: Its subfolders that contain images, by name.
        own: Number of files directly in it that may be images.
        total: Number of such files including all subfolders.
    """

    parts: tuple[str, ...]
    folders: dict[str, Folder] = field(default_factory=dict)
    own: int = 0
    total: int = 0

    @property
    def name(self) -> str:
        """Its own name; empty for the root."""
        return self.parts[-1] if self.parts else ""

    @property
    def shown(self) -> str:
        """Its path relative to the root, for messages."""
        return display_name(self.parts)

    @property
    def keys(self) -> frozenset[str]:
        """The case-folded class names of its subfolders."""
        return frozenset(class_name(name).casefold() for name in self.folders)

    def find(self, parts: Iterable[str]) -> Folder | None:
        """The folder at a path below it, ignoring case if there is no exact match; None if there is none."""
        folder = self
        for part in parts:
            child = folder.folders.get(part)
            if child is None:
                matches = [other for name, other in folder.folders.items() if name.casefold() == part.casefold()]
                if len(matches) != 1:
                    return None
                child = matches[0]
            folder = child
        return folder

    def __iter__(self) -> Iterator[Folder]:
        """Iterate over its subfolders."""
        return iter(self.folders.values())


def build_tree(files: Iterable[FoundFile]) -> Folder:
    """Build the tree of the folders that contain possible images, judging by file extensions.

    Args:
        files: Every file; ignored ones do not count.
    """
    root = Folder(())
    for file in files:
        file_name = PurePath(file.parts[-1])
        if file.ignored or file_name.suffix.lower() in _NO_IMAGE_ENDINGS or file_name.name.lower() in _NO_IMAGE_NAMES:
            continue
        folder = root
        folder.total += 1
        for depth, name in enumerate(file.parts[:-1], 1):
            folder = folder.folders.setdefault(name, Folder(file.parts[:depth]))
            folder.total += 1
        folder.own += 1
    return root


def find_wrapper(tree: Folder, files: Iterable[FoundFile]) -> Folder | None:
    """Find the folder whose subfolders are the classes, if others are only wrapped around it (``archive/Dataset/cat``).

    Args:
        tree: The tree of the folders.
        files: Every file; a wrapper has no other folder next to it, with or without images.

    Returns:
        The folder, at most `DEEPEST_WRAPPER` levels below the root; None if the root itself holds images or several
        folders, or if its subfolders are named like the parts of one set (images and masks).
    """
    folder, paths = tree, [file.parts for file in files if not file.ignored]
    for depth in range(DEEPEST_WRAPPER):
        siblings = {parts[depth] for parts in paths if len(parts) > depth + 1}
        if folder.own or len(folder.folders) != 1 or len(siblings) != 1:
            break
        (folder,) = folder
    if folder is tree or folder.own or len(folder.folders) < 2:
        return None
    are_parts = all(map(is_part_name, folder.folders)) or are_numbered_parts(folder.folders)
    return None if are_parts else folder


def class_name(folder: str) -> str:
    """The class name of a folder, normalized to NFC as, for example, macOS uses another Unicode form."""
    return unicodedata.normalize("NFC", display_name((folder,)))


NO_SPLITS = "none"

ANY_FOLDER = "*"

CLASS_FOLDER = "{class}"
"""Placeholder in ``--splits`` for any folder whose name is the class."""


@dataclass(frozen=True, slots=True)
class SplitFolder:
    """A folder whose images all belong to one split.

    Attributes:
        parts: The folder names from the root down to it.
        split: The split.
        has_classes: Whether it holds class folders; else its labels have to come from a table.
        class_at: Index of the class in a file's path parts.
    """

    parts: tuple[str, ...]
    split: SplitName
    has_classes: bool
    class_at: int

    @property
    def shown(self) -> str:
        """Its path relative to the root, for messages."""
        return display_name(self.parts)


@dataclass(frozen=True, slots=True)
class FolderSplits:
    """The splits that the folders of a data set define.

    Attributes:
        folders: The split folders; empty if folders are not splits.
        question: What the user has to decide before folders' names can be labels; empty if nothing.
        notes: What was recognized, for the user.
        is_requested: Whether the user specified the splits.
    """

    folders: tuple[SplitFolder, ...] = ()
    question: str = ""
    notes: tuple[Note, ...] = ()
    is_requested: bool = False

    @property
    def have_classes(self) -> bool:
        """Whether any of the split folders holds class folders."""
        return any(folder.has_classes for folder in self.folders)

    def folder_of(self, parts: tuple[str, ...]) -> SplitFolder | None:
        """The split folder that contains a file, or None."""
        return next((each for each in self.folders if parts[: len(each.parts)] == each.parts), None)


def enter(folder: Folder) -> Folder:
    """Skip doubled folders (``seg_train/seg_train``) and those around images (``test/images``) or a data set."""
    while not folder.own and len(folder.folders) == 1:
        (subfolder,) = folder
        is_wrapper = len(subfolder.folders) > 1 and not subfolder.own and is_wrapper_name(subfolder.name)
        if (
            not is_wrapper
            and subfolder.name.casefold() != folder.name.casefold()
            and not is_container_name(subfolder.name)
        ):
            break
        folder = subfolder
    return folder


def as_split(folder: Folder, split: SplitName) -> SplitFolder:
    """Create the record of a split's folder, with or without class folders in it."""
    inner = enter(folder)
    return SplitFolder(inner.parts, split, bool(inner.folders), len(inner.parts))


def in_order(splits: Iterable[SplitFolder]) -> tuple[SplitFolder, ...]:
    """Sort split folders by split (train, validation, test) and name."""
    return tuple(sorted(splits, key=lambda each: (SPLITS.index(each.split), each.parts)))


def as_option(splits: Iterable[SplitFolder]) -> str:
    """Format split folders as the value of ``--splits``."""
    return ",".join(f"{each.split}={each.shown}" for each in splits)
