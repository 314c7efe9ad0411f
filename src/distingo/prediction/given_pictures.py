"""The files that a person gives to be named: folders, patterns, tables, standard input, one after another."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from distingo.datasets.walking import walk
from distingo.errors import UsageError, name_some
from distingo.prediction.path_tables import is_path_table, paths_in_table

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class GivenPictures:
    """What a person gave, to be gone through any number of times (standard input: once).

    Attributes:
        paths: Files; folders, of which every visible file counts, sorted; tables with a column of paths; patterns such
            as ``photos/**/*.jpg``, sorted; ``-`` for paths from standard input, one a line. A path that does not exist
            stays, to be named among what can't be read.
        image_column: Of tables; None recognises it.
        image_folder: What relative paths in tables start from; None is the table's own folder, else the working one.
        left_out: Files that are none of the pictures, such as the table that is being written.
    """

    paths: Sequence[str | Path]
    image_column: str | None = None
    image_folder: str | Path | None = None
    left_out: tuple[Path, ...] = ()

    def require_any(self) -> None:
        """Look whether there is anything, and whether tables can be read; standard input is left alone.

        Raises:
            UsageError: None of the paths exists, or there is no file.
            DataError: A table is damaged.
        """
        if self.is_standard_input:
            return
        if self.paths and not any(os.path.lexists(path) or _is_pattern(path) for path in self.paths):
            raise UsageError(f"{name_some([str(path) for path in self.paths], 3)}: no such file or folder")
        if next(iter(self), None) is None:
            said = ", ".join(map(str, self.paths))
            raise UsageError(f"{said}: no file in it; give pictures, folders, patterns or tables of them")
        self._require_table()

    def _require_table(self) -> None:
        for option, value in (("--image-column", self.image_column), ("--image-folder", self.image_folder)):
            if value is not None and not any(is_path_table(Path(path)) for path in self.paths):
                raise UsageError(f"{option} {value}: is about tables of paths, and none was given; leave it out")

    @property
    def is_standard_input(self) -> bool:
        """Whether any of it is read from standard input."""
        return any(str(path) == STANDARD_INPUT for path in self.paths)

    def count(self) -> int | None:
        """How many there are; None where nobody knows before standard input has ended."""
        return None if self.is_standard_input else sum(1 for _ in self)

    def __iter__(self) -> Iterator[Path]:
        names = {path.name for path in self.left_out}
        places = {path.resolve() for path in self.left_out}
        for path in chain.from_iterable(map(self._below, self.paths)):
            if path.name not in names or path.resolve() not in places:
                yield path

    def _below(self, given: str | Path) -> Iterable[Path]:
        path = Path(given)
        if str(given) == STANDARD_INPUT:
            return _lines_of_standard_input()
        if path.is_dir():
            return (file.path for file in walk(path) if not file.ignored)
        if is_path_table(path):
            return paths_in_table(path, column=self.image_column, folder=self.image_folder)
        if _is_pattern(given) and not os.path.lexists(path):
            return _matching(path)
        return (path,)


def find_pictures(paths: Sequence[str | Path]) -> list[Path]:
    """All of `GivenPictures` in a list.

    Raises:
        UsageError: None of the paths exists, or there is no file.
    """
    given = GivenPictures(paths)
    given.require_any()
    return list(given)


def _is_pattern(path: str | Path) -> bool:
    return glob.has_magic(str(path))


def _matching(pattern: Path) -> list[Path]:
    """The visible files that a pattern matches, sorted; hidden ones only where the pattern names them."""
    found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    every = any(map(_is_hidden, pattern.parts))
    return sorted(path for path in found if (every or not any(map(_is_hidden, path.parts))) and path.is_file())


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part != ".."


def _lines_of_standard_input() -> Iterator[Path]:
    came = False
    for line in sys.stdin.buffer:
        if b"\0" in line:
            raise UsageError(
                "-: a zero byte in what came on standard input; give one path a line (find without -print0)"
            )
        if name := os.fsdecode(line.rstrip(b"\r\n")):
            came = True
            yield Path(name)
    if not came:
        raise UsageError("-: no path came on standard input; give one a line")
