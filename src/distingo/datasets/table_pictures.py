"""Which file a table means by a name: with or without ending, folders and the right case."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from distingo.datasets.endings import PICTURE_ENDINGS
from distingo.datasets.walking import FoundFile

_ENDINGS = PICTURE_ENDINGS | {".tga", ".ico", ".qoi", ".img"}
_Keys = dict[str, list[FoundFile]]


@dataclass(frozen=True, slots=True)
class _Index:
    """Files by their whole path and by its ends (``b/c.jpg`` and ``c.jpg``), both with and without ending."""

    whole: _Keys
    whole_stems: _Keys
    ends: _Keys
    end_stems: _Keys

    def find(self, name: str) -> list[FoundFile]:
        for keys in (self.whole, self.whole_stems, self.ends, self.end_stems):
            if found := keys.get(name, []):
                return found
        return []


class PictureFinder:
    """Finds the files that the names in a table mean.

    Attributes:
        root: The folder that relative names start from.
    """

    def __init__(self, root: Path, files: Iterable[FoundFile], *, below: tuple[str, ...] = ()) -> None:
        """Index the files.

        Args:
            root: The folder that the files' parts are relative to.
            files: All that may be meant.
            below: The image folder's parts: only files in it are meant, and names may leave them out.
        """
        self.root = root
        self._below = below
        self._files = [file for file in files if file.parts[: len(below)] == below]
        self._index = self._build(fold=False)
        self._folded: _Index | None = None

    def find(self, name: str) -> list[FoundFile]:
        """Find what a name means.

        A whole path is tried before its end, with the ending before without, the given case before any case.

        Args:
            name: As in the table: ``tt01``, ``tt01.jpg``, ``Images/tt01.jpg`` or absolute.

        Returns:
            The file; several where the name may mean each of them; none where there is no such file.
        """
        plain = _normal(name)
        if not plain:
            return []
        if _is_absolute(plain) or plain.startswith("../"):
            return self._find_outside(plain)
        found = self._index.find(plain)
        if not found:
            self._folded = self._folded or self._build(fold=True)
            found = self._folded.find(unicodedata.normalize("NFC", plain.casefold()))
        return _pictures_first(found)

    def _find_outside(self, name: str) -> list[FoundFile]:
        """Absolute names: the file itself, or, where the folder was moved, the longest end that is known."""
        path = self.root / name
        try:
            if path.is_file():
                return self._known(path) or [FoundFile((path.resolve().as_posix(),), path)]
        except (OSError, ValueError):
            pass
        parts = [part for part in name.split("/") if part not in {"", ".."}]
        for at in range(1, len(parts)):
            if found := self._index.find("/".join(parts[at:])):
                return _pictures_first(found)
        return []

    def _known(self, path: Path) -> list[FoundFile]:
        try:
            inside = path.resolve().relative_to(self.root.resolve())
        except ValueError:
            return []
        return [file for file in self._index.ends.get(_normal(inside.as_posix()), []) if file.parts == inside.parts]

    def _build(self, *, fold: bool) -> _Index:
        index = _Index(defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list))
        for file in self._files:
            parts = [unicodedata.normalize("NFC", part.casefold() if fold else part) for part in file.parts]
            stem = PurePosixPath(parts[-1]).stem
            inner = len(self._below)
            index.whole["/".join(parts[inner:])].append(file)
            index.whole_stems["/".join([*parts[inner:-1], stem])].append(file)
            for at in range(len(parts)):
                index.ends["/".join(parts[at:])].append(file)
                index.end_stems["/".join([*parts[at:-1], stem])].append(file)
        return index


def _normal(name: str) -> str:
    plain = unicodedata.normalize("NFC", name.strip()).replace("\\", "/")
    while plain.startswith("./"):
        plain = plain[2:]
    return plain


def _is_absolute(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()


def _pictures_first(found: list[FoundFile]) -> list[FoundFile]:
    """Of ``a.jpg`` and ``a.txt``, a name without ending means the picture."""
    if len(found) < 2:
        return found
    return [file for file in found if file.path.suffix.lower() in _ENDINGS] or found
