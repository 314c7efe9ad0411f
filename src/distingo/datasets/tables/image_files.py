"""Find the file that a name in a table refers to: with or without extension, in any case, as a path or a URI."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.walking import FoundFile

_DRIVE = re.compile(r"[A-Za-z]:/")

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")

_FILE_URI = "file:"


def path_of(name: str) -> str:
    r"""The likeliest path that a name stands for, with forward slashes and in Unicode's composed form.

    Args:
        name: ``a.jpg``, ``./x/a.jpg``, ``x\a.jpg``, ``C:\x\a.jpg``, ``file:///x/a%20b.jpg``.

    Returns:
        The path without ``.`` and inner ``..``; one that leads upwards begins with ``../``; empty stays empty. Percent
        signs are decoded in URIs only.
    """
    text = name.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if text[:5].lower() == _FILE_URI:
        text = _path_of_uri(text)
    if "\\" in text:
        text = text.replace("\\", "/")
    return _without_dots(text)


def other_readings(name: str) -> tuple[str, ...]:
    r"""Other interpretations of a name, for when `path_of` leads to no file; the likeliest first.

    Args:
        name: ``my%20photo.jpg`` may have been encoded for a web page; ``x\a.jpg`` may be a single file's name; quotes
            may have been copied from another program.
    """
    readings = []
    text = unicodedata.normalize("NFC", name.strip())
    if "\\" in text:
        readings.append(text)
    if _PERCENT.search(text):
        readings.append(path_of(unquote(text)))
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        readings.append(path_of(text[1:-1]))
    return tuple(reading for reading in readings if reading)


def is_absolute(path: str) -> bool:
    """Whether a path from `path_of` begins with a root, a drive or a server."""
    return path.startswith("/") or _DRIVE.match(path) is not None


def leads_outside(path: str) -> bool:
    """Whether a path from `path_of` is absolute or leads above the folder that it is relative to."""
    return path.startswith(("/", "../")) or _DRIVE.match(path) is not None


def is_web_address(name: str) -> bool:
    """Whether a name is a web address."""
    return name.lstrip()[:8].lower().startswith(("http://", "https://"))


def _path_of_uri(text: str) -> str:
    path = text[len(_FILE_URI) :]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        path = slash + rest if host.lower() in {"", "localhost"} else path
    path = unicodedata.normalize("NFC", unquote(path))
    return path[1:] if _DRIVE.match(path[1:].replace("\\", "/")) else path


def _without_dots(path: str) -> str:
    if not path or not ("/." in path or "//" in path or path.startswith(".") or path.endswith("/")):
        return path
    normalized = posixpath.normpath(path)
    return "" if normalized == "." else normalized


_ENDINGS = IMAGE_ENDINGS | {".tga", ".ico", ".qoi", ".img"}

_Keys = dict[str, list[FoundFile]]


class Match(NamedTuple):
    """The files that a name refers to.

    Attributes:
        files: One file; several if the name is ambiguous; none if there is no such file.
        any_case: Whether they were found only by ignoring case.
        decoded: Whether they were found only by another interpretation of the name, such as decoding percent signs.
    """

    files: tuple[FoundFile, ...] = ()
    any_case: bool = False
    decoded: bool = False


NOTHING = Match()


@dataclass(frozen=True, slots=True)
class _Index:
    """Files by their path from the root, and by their bare name; both with and without extension."""

    whole: _Keys
    whole_stems: _Keys
    bare: _Keys
    bare_stems: _Keys

    def find(self, path: str) -> list[FoundFile]:
        return self.whole.get(path) or self.whole_stems.get(path) or []

    def find_bare(self, name: str) -> list[FoundFile]:
        return self.bare.get(name) or self.bare_stems.get(name) or []


class ImageFinder:
    """Finds the files that names in a table refer to.

    Attributes:
        root: The folder that the files' parts are relative to.
        below: The image folder's parts.
        anywhere: Whether a bare name may refer to a file anywhere in the image folder, wherever most of them are.
    """

    def __init__(
        self, root: Path, files: Iterable[FoundFile], *, below: tuple[str, ...] = (), anywhere: bool = False
    ) -> None:
        """Index the files.

        Args:
            root: The folder that the files' parts are relative to.
            files: All files that names may refer to.
            below: The image folder's parts: relative names refer to files in it only, and may omit the parts.
            anywhere: Whether the user specified the image folder, so that bare names are looked up in all folders in
                it.
        """
        self.root = root
        self.below = below
        self.anywhere = anywhere
        self._files = list(files)
        self._prefix = "".join(f"{unicodedata.normalize('NFC', part)}/" for part in below)

    def find(self, name: str) -> list[FoundFile]:
        """The files found by `match`."""
        return list(self.match(name).files)

    def match(self, name: str) -> Match:
        """Find the files that a name refers to, independently of the other names in its table.

        A path with folders refers to the file of that path, relative to the image folder or else the root. A bare name
        refers to the file of that name at the top of the image folder, or else anywhere in it. Matches with the
        extension are preferred to those without, those in the same case to others, and the literal name to other
        interpretations.

        Args:
            name: As in the table: ``tt01``, ``tt01.jpg``, ``Images/tt01.jpg`` or absolute.
        """
        path = path_of(name)
        if not path:
            return NOTHING
        if files := self._find(path, self._exact):
            return Match(_images_first(files))
        others = other_readings(name)
        for other in others:
            if files := self._find(other, self._exact):
                return Match(_images_first(files), decoded=True)
        if files := self._find(_folded(path), self._any_case, outside=path):
            return Match(_images_first(files), any_case=True)
        for other in others:
            if files := self._find(_folded(other), self._any_case):
                return Match(_images_first(files), any_case=True, decoded=True)
        return NOTHING

    def match_inside(self, path: str) -> Match:
        """Find the file of exactly this path, from the root and with all its folders, ignoring case if necessary.

        Args:
            path: With forward slashes.
        """
        if files := self._exact.find(path):
            return Match(_images_first(files))
        if files := self._any_case.find(_folded(path)):
            return Match(_images_first(files), any_case=True)
        return NOTHING

    def ending_in(self, path: str, *, any_case: bool = False) -> list[FoundFile]:
        """The files in the image folder whose path ends with the parts of a path; its extension may be omitted."""
        ends = self._ends_of_any_case if any_case else self._ends
        return ends.get(_folded(path) if any_case else path, [])

    @property
    def root_path(self) -> str:
        """The root's absolute path, with forward slashes."""
        return self._root_paths[0]

    def of_number(self, number: int) -> FoundFile | None:
        """The file whose name is this number with leading zeros (``007.jpg``); None if there is none."""
        return self._with_zeros.get(number)

    def is_in_image_folder(self, file: FoundFile) -> bool:
        """Whether a file is in the image folder; always true if there is none."""
        return file.parts[: len(self.below)] == self.below

    def _find(self, path: str, index: _Index, *, outside: str = "") -> list[FoundFile]:
        if leads_outside(path):
            return self._find_outside(outside or path, index)
        prefix = self._prefix if index is self._exact else _folded(self._prefix)
        matches = index.find(prefix + path)
        if not matches and prefix and path.startswith(prefix):
            matches = index.find(path)
        return matches or ([] if "/" in path else index.find_bare(path))

    def _find_outside(self, path: str, index: _Index) -> list[FoundFile]:
        """Find a file by an absolute path, or one that leads upwards; it need not be among the walked files."""
        starts = ("",) if not path.startswith("../") else ("/".join(("", *self.below)), "") if self.below else ("",)
        for start in starts:
            target = path if not path.startswith("../") else f"{self._root_paths[0]}{start}/{path}"
            if matches := self._at(posixpath.normpath(target), index):
                return matches
        return []

    def _at(self, path: str, index: _Index) -> list[FoundFile]:
        if matches := self._within(path, index):
            return matches
        try:
            if index is self._exact and os.path.isabs(path) and os.path.isfile(path):  # noqa: PTH113, PTH117
                real = os.path.realpath(path)
                return self._within(real, index) or [FoundFile((real,), Path(path))]
        except (OSError, ValueError):
            pass
        return []

    def _within(self, path: str, index: _Index) -> list[FoundFile]:
        for root in self._root_paths:
            if path.startswith(f"{root}/"):
                relative = path[len(root) + 1 :]
                return index.find(relative if index is self._exact else _folded(relative))
        return []

    @cached_property
    def _root_paths(self) -> tuple[str, ...]:
        """The absolute path of the root, with and without its links resolved."""
        absolute = os.path.abspath(self.root)  # noqa: PTH100 - links are not resolved
        roots = (root.replace(os.sep, "/").rstrip("/") for root in (absolute, os.path.realpath(absolute)))
        return tuple(dict.fromkeys(unicodedata.normalize("NFC", root) for root in roots))

    @cached_property
    def _exact(self) -> _Index:
        return self._build(any_case=False)

    @cached_property
    def _any_case(self) -> _Index:
        return self._build(any_case=True)

    @cached_property
    def _ends(self) -> _Keys:
        return self._build_ends(any_case=False)

    @cached_property
    def _ends_of_any_case(self) -> _Keys:
        return self._build_ends(any_case=True)

    @cached_property
    def _with_zeros(self) -> dict[int, FoundFile]:
        stems = ((file, _without_ending(file.parts[-1])) for file in filter(self.is_in_image_folder, self._files))
        return {int(stem): file for file, stem in stems if stem[:1] == "0" and stem.isascii() and stem.isdigit()}

    def _build(self, *, any_case: bool) -> _Index:
        index = _Index(defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list))
        for file in self._files:
            path = _key(file, any_case=any_case)
            stem = _without_ending(path)
            index.whole[path].append(file)
            index.whole_stems[stem].append(file)
            if not self.below or self.is_in_image_folder(file):
                index.bare[path.rpartition("/")[2]].append(file)
                index.bare_stems[stem.rpartition("/")[2]].append(file)
        return index

    def _build_ends(self, *, any_case: bool) -> _Keys:
        ends: _Keys = defaultdict(list)
        for file in filter(self.is_in_image_folder, self._files):
            path = _key(file, any_case=any_case)
            stem = _without_ending(path)
            at = 0
            while True:
                ends[path[at:]].append(file)
                if stem != path:
                    ends[stem[at:]].append(file)
                at = path.find("/", at) + 1
                if not at:
                    break
        return ends


def _key(file: FoundFile, *, any_case: bool) -> str:
    path = "/".join(file.parts)
    if any_case:
        return _folded(path)
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())


def _without_ending(path: str) -> str:
    """Like `pathlib.PurePath.stem`: neither the dot of a hidden file nor a trailing dot begins an extension."""
    at = path.rfind(".")
    return path[:at] if at > path.rfind("/") + 1 and at < len(path) - 1 else path


def _images_first(files: list[FoundFile]) -> tuple[FoundFile, ...]:
    """Of ``a.jpg`` and ``a.txt``, a name without extension refers to the image."""
    if len(files) < 2:
        return tuple(files)
    return tuple(file for file in files if file.path.suffix.lower() in _ENDINGS) or tuple(files)
