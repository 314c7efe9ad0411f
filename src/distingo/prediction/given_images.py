"""Iteration over input images from files, folders, patterns, standard input and tables."""

from __future__ import annotations

import csv
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from distingo.csv_files import restore_cells
from distingo.datasets.tables.headers import has_names, named_like_images
from distingo.datasets.tables.reading import find_column_delimiter, json_records, read_labels_table
from distingo.datasets.tables.table import FOLDER_ENDINGS, decode_text, text_of
from distingo.datasets.walking import walk
from distingo.errors import DataError, UsageError, name_some, option, suggest_names

_HEAD_BYTES = 1 << 20

_SAMPLE_ROWS = 200
"""Number of rows that are used to detect the image column."""

_READ_AT_ONCE = frozenset({".xlsx", ".xlsm", ".json"})
"""Extensions of tables that are read completely, like in training, instead of row by row."""

_CODECS = {
    "UTF-8": "utf-8",
    "UTF-8 with byte order mark": "utf-8-sig",
    "UTF-16": "utf-16",
    "UTF-32": "utf-32",
    "Windows-1252": "cp1252",
    "Latin-1": "latin-1",
}

_Row = dict[str, str]


def is_path_table(path: Path) -> bool:
    """Whether a path is an existing file with the extension of a table."""
    return path.suffix.lower() in FOLDER_ENDINGS | _READ_AT_ONCE and path.is_file()


def paths_in_table(path: Path, *, column: str | None = None, folder: str | Path | None = None) -> Iterator[Path]:
    """Iterate over the image paths in a table, in order and without empty cells.

    Args:
        path: CSV or a similar format, with or without a header; JSON Lines, JSON, Parquet, or an Excel workbook.
        column: Name of the image column; None detects it by existing files, then by its name.
        folder: Base folder of relative paths; None is the folder of the table, or the working directory if more of
            the files exist there.

    Returns:
        A lazy iterator of paths.

    Raises:
        UsageError: The column does not exist, or none is detected.
        DataError: The table is damaged; may also be raised during the iteration.
    """
    bases = [path.parent, Path()] if folder is None else [Path(folder)]
    base, chosen = _recognize(path, list(islice(_rows(path), _SAMPLE_ROWS)), column, bases)
    return (base / row[chosen] for row in _rows(path) if row.get(chosen))


def _recognize(path: Path, head: Sequence[_Row], column: str | None, bases: Sequence[Path]) -> tuple[Path, str]:
    """The base folder and the image column for which most files of a sample exist."""
    columns = list(dict.fromkeys(name for row in head for name in row))
    if not head:
        raise DataError(
            f"{path}: has no row below its line of names; give a table with a row for each picture", code="empty_file"
        )
    if column is not None and column not in columns:
        raise UsageError(
            f"{path}: no column {column!r}; {suggest_names(column, columns)}",
            code="unknown_column",
            parameter="image_column",
        )
    image_columns = named_like_images(columns)
    candidates = (
        [column] if column is not None else [*image_columns, *(name for name in columns if name not in image_columns)]
    )
    matches = {
        (base, name): sum(_is_file(base, row.get(name, "")) for row in head) for base in bases for name in candidates
    }
    best = max(matches, key=lambda each: matches[each])
    if matches[best] or image_columns or len(candidates) == 1:
        return best
    raise UsageError(
        f"{path}: no column names files below {bases[0]}; name it by {option('image_column')}, and their folder by "
        f"{option('image_folder')} (it has {', '.join(columns)})",
        code="missing_column",
        parameter="image_column",
    )


def _is_file(base: Path, name: str) -> bool:
    try:
        return bool(name) and (base / name).is_file()
    except (OSError, ValueError):
        return False


def _rows(path: Path) -> Iterator[_Row]:
    try:
        if path.suffix.lower() == ".parquet":
            yield from _parquet_rows(path)
            return
        if path.suffix.lower() in _READ_AT_ONCE:
            yield from _table_rows(path)
            return
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        text, encoding = decode_text(path, head[: head.rfind(b"\n") + 1] if len(head) == _HEAD_BYTES else head)
        lines = path.suffix.lower() in {".jsonl", ".ndjson"}
        with path.open(encoding=_CODECS[encoding], newline="" if not lines else None) as stream:
            yield from _json_rows(path, stream) if lines else _csv_rows(path, stream, text)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: can't be read ({error}); save it again as UTF-8", code="cannot_read") from error


def _csv_rows(path: Path, stream: Any, head: str) -> Iterator[_Row]:
    reader = csv.reader(stream, delimiter=find_column_delimiter(path, head), strict=True, skipinitialspace=True)
    columns: list[str] = []
    try:
        rows = ((reader.line_num, restore_cells(row)) for row in reader if row)
        first = list(islice(rows, _SAMPLE_ROWS))
        if first and not has_names([row for _, row in first]):
            columns = [f"column {at}" for at in range(1, len(first[0][1]) + 1)]
        for line, row in chain(first, rows):
            if not columns:
                columns = [name.strip() or f"column {at}" for at, name in enumerate(row, 1)]
                continue
            if len(row) != len(columns):
                raise DataError(
                    f"{path}: line {line} has {len(row)} fields instead of {len(columns)}", code="damaged_line"
                )
            yield {name: cell.strip() for name, cell in zip(columns, row, strict=True)}
    except csv.Error as error:
        raise DataError(
            f"{path}: line {reader.line_num}: broken quoting ({error}); close the quote", code="damaged_line"
        ) from error


def _table_rows(path: Path) -> Iterator[_Row]:
    table = read_labels_table(path)
    for cells in zip(*table.cells, strict=True):
        yield {name: text_of(cell) for name, cell in zip(table.columns, cells, strict=True)}


def _json_rows(path: Path, stream: Any) -> Iterator[_Row]:
    for _, record in json_records(path, stream, example='{"file_name": ...}'):
        yield {str(name): value if isinstance(value, str) else "" for name, value in record.items()}


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import pyarrow
    from pyarrow import parquet, types

    try:
        file = parquet.ParquetFile(path)
        fields = file.schema_arrow
        texts = [field.name for field in fields if types.is_string(field.type) or types.is_large_string(field.type)]
        for batch in file.iter_batches(columns=texts):
            for row in batch.to_pylist():
                yield {name: value or "" for name, value in row.items()}
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path}: is no readable Parquet file ({reason}); write it again", code="damaged_file"
        ) from error


STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class GivenImages:
    """Input images as an iterable of paths, which can be repeated unless it includes standard input.

    Attributes:
        paths: Files; folders (all visible files, sorted); tables with a column of paths; patterns such as
            ``photos/**/*.jpg`` (sorted); ``-`` for one path per line of standard input. Missing files are included, and
            later reported as unreadable.
        image_column: Image column of tables; None detects it.
        image_folder: Base folder of relative paths in tables; None is the table's folder or the working directory.
        left_out: Files to exclude, such as the output table.
    """

    paths: Sequence[str | Path]
    image_column: str | None = None
    image_folder: str | Path | None = None
    left_out: tuple[Path, ...] = ()

    def require_any(self) -> None:
        """Check that there is at least one file, without reading standard input.

        Raises:
            UsageError: None of the paths exists, or they contain no file.
            DataError: A table is damaged.
        """
        if self.is_standard_input:
            return
        if self.paths and not any(os.path.lexists(path) or _is_pattern(path) for path in self.paths):
            raise UsageError(
                f"{name_some([str(path) for path in self.paths], 3)}: no such file or folder", code="not_found"
            )
        if next(iter(self), None) is None:
            shown_paths = ", ".join(map(str, self.paths))
            raise UsageError(
                f"{shown_paths}: no file in it; give pictures, folders, patterns or tables of them", code="empty_folder"
            )
        self._require_table()

    def _require_table(self) -> None:
        for name, value in (("image_column", self.image_column), ("image_folder", self.image_folder)):
            if value is not None and not any(is_path_table(Path(path)) for path in self.paths):
                raise UsageError(
                    f"{option(name)} {value}: is about tables of paths, and none was given; leave it out",
                    code="option_not_applicable",
                    parameter=name,
                )

    @property
    def is_standard_input(self) -> bool:
        """Whether any paths are read from standard input."""
        return any(str(path) == STANDARD_INPUT for path in self.paths)

    def count(self) -> int | None:
        """Number of images; None if paths are read from standard input."""
        return None if self.is_standard_input else sum(1 for _ in self)

    def __iter__(self) -> Iterator[Path]:
        names = {path.name for path in self.left_out}
        excluded = {path.resolve() for path in self.left_out}
        for path in chain.from_iterable(map(self._below, self.paths)):
            if path.name not in names or path.resolve() not in excluded:
                yield path

    def _below(self, path_or_pattern: str | Path) -> Iterable[Path]:
        path = Path(path_or_pattern)
        if str(path_or_pattern) == STANDARD_INPUT:
            return _lines_of_standard_input()
        if path.is_dir():
            return (file.path for file in walk(path) if not file.ignored)
        if is_path_table(path):
            return paths_in_table(path, column=self.image_column, folder=self.image_folder)
        if _is_pattern(path_or_pattern) and not os.path.lexists(path):
            return _matching(path)
        return (path,)


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """List the images that `GivenImages` finds.

    Raises:
        UsageError: None of the paths exists, or they contain no file.
    """
    images = GivenImages(paths)
    images.require_any()
    return list(images)


def _is_pattern(path: str | Path) -> bool:
    return glob.has_magic(str(path))


def _matching(pattern: Path) -> list[Path]:
    """The files that match a pattern, sorted; hidden files only if the pattern contains a hidden component."""
    matches = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    include_hidden = any(map(_is_hidden, pattern.parts))
    return sorted(
        path for path in matches if (include_hidden or not any(map(_is_hidden, path.parts))) and path.is_file()
    )


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part != ".."


def _lines_of_standard_input() -> Iterator[Path]:
    has_paths = False
    for line in sys.stdin.buffer:
        if b"\0" in line:
            raise UsageError(
                "-: a zero byte in what came on standard input; give one path a line (find without -print0)",
                code="invalid_path",
            )
        if name := os.fsdecode(line.rstrip(b"\r\n")):
            has_paths = True
            yield Path(name)
    if not has_paths:
        raise UsageError("-: no path came on standard input; give one a line", code="empty_file")
