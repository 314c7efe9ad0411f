"""Recognize which columns of a table name the images, their labels and their splits.

Columns are recognized by their names, their cells and the files found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.tables.headers import (
    _HEADER_ROWS,
    IMAGE_NAMES,
    LABEL_NAMES,
    MOST_CELLS,
    SPLIT_NAMES,
    column_key,
    find_label_column,
    is_common_column,
    is_switch,
    name_rank,
)
from distingo.datasets.tables.image_files import ImageFinder, is_web_address
from distingo.datasets.tables.labels import looks_listed, parse_list, recognize_delimiter, split_labels_of
from distingo.datasets.tables.matching import match_names
from distingo.datasets.tables.table import Cell, Shape, ShapeKind, Table, TableOptions, text_of
from distingo.datasets.walking import SPLIT_LABELS
from distingo.errors import DataError, UsageError, option
from distingo.records import SplitName

_SAMPLE_SIZE = 500

_ENDINGS = tuple(IMAGE_ENDINGS)

_NUMBER = re.compile(r"([0-9]{1,18})(\.0+)?")

_UNNAMED = re.compile(r"(column|unnamed:?|level|index|idx) *[0-9]*|index level [0-9]+")

_WEAK_NAMES = frozenset({"id", "name"})
"""Common names of the image column that are as common for other columns."""

CERTAIN = 2
"""From this level of evidence on, a column names images by itself, not only because its numbers match files."""


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """The evidence that a column names the images.

    Attributes:
        name: Name of the column.
        certainty: Level of certainty. 4: cells are paths, in a column with a common name. 3: a common name. 2:
            cells are paths; or numbers or a counter in a column with a common name. 1: neither. 0: numbers without a
            name, or a counter. -1: by its name, the column holds labels or splits.
        are_numbers: Whether nearly all cells are whole numbers.
        have_image_endings: Whether nearly all cells end like the names of image files.
        cells: Number of cells that were looked up.
        files: The file of each cell that names one, by the cell's index.
    """

    name: str
    certainty: int
    are_numbers: bool
    have_image_endings: bool
    cells: int
    files: Mapping[int, tuple[str, ...]]

    @property
    def different(self) -> int:
        """Number of distinct files that it names."""
        return len(set(self.files.values()))

    @property
    def is_mostly_found(self) -> bool:
        """Whether at least half of its cells name a file."""
        return bool(self.files) and 2 * len(self.files) >= self.cells

    @property
    def has_common_name(self) -> bool:
        """Whether it has a common name for an image column."""
        return column_key(self.name) in IMAGE_NAMES

    def is_rival_of(self, best: ImageColumn) -> bool:
        """Whether it is an equally likely candidate that leads to different files."""
        common = self.files.keys() & best.files.keys()
        agrees = bool(common) and all(self.files[at] == best.files[at] for at in common)
        if agrees or not self.is_mostly_found:
            return False
        if best.certainty >= CERTAIN or not best.are_numbers:
            return self.certainty == best.certainty
        # among plain numbers, columns with few distinct values (stars, years) do not name images
        factor = 2 if self.certainty == best.certainty else 0.25 if self.certainty >= 0 else 0
        return factor * self.different > best.different

    def casts_doubt_on(self, best: ImageColumn) -> bool:
        """Whether its name and cells are more likely ones, though few of its files exist, and `best` holds numbers."""
        if not best.are_numbers or self.is_mostly_found or self.certainty <= best.certainty:
            return False
        return bool(self.files) or (self.have_image_endings and not best.has_common_name)

    def described(self) -> str:
        """Its name and the number of inspected cells that name a file, for messages."""
        return f"{self.name!r} ({len(self.files):,} of {self.cells:,} cells name a file)"


def recognize_image_column(table: Table, options: TableOptions, images: ImageFinder) -> str:
    """Find the column that names the images.

    Cells that are paths and a common column name take precedence over numbers: a row counter also matches numbered
    files, but not those that the row is about.

    Args:
        table: As read.
        options: Which columns have another role.
        images: Finds the files that cells refer to.

    Raises:
        DataError: No column names images, or several do and lead to different files.
    """
    ranked = rank_image_columns(table, options, images)
    if not ranked or not (ranked[0].files or ranked[0].has_common_name or ranked[0].have_image_endings):
        raise DataError(
            f"{table.path}: no column names pictures that are there; it has {describe_columns(table, table.columns)}; "
            f"give {option('image_column')}, or {option('image_folder')} if the pictures are elsewhere",
            code="missing_column",
            parameter="image_column",
        )
    best = ranked[0]
    if best.is_mostly_found:
        for other in ranked[1:]:
            if other.is_rival_of(best) or other.casts_doubt_on(best):
                raise DataError(
                    f"{table.path}: columns {best.described()} and {other.described()} may both name the images, and "
                    f"lead to different files; name the right one by {option('image_column')}",
                    code="ambiguous_column",
                    parameter="image_column",
                )
    return best.name


def rank_image_columns(table: Table, options: TableOptions, images: ImageFinder) -> list[ImageColumn]:
    """Rank the columns that may name the images, the most likely first; columns with most files found come first.

    Args:
        table: As read.
        options: Which columns have another role.
        images: Finds the files that cells refer to.
    """
    assigned = {options.label_column, *options.label_columns, options.group_column}
    unassigned = [name for name in table.columns if name not in assigned and not is_switch(table.column(name))]
    examined = [_examine(name, table.column(name), images) for name in unassigned]

    def key(column: ImageColumn) -> tuple[bool, bool, bool, int, int, float]:
        names_any = bool(column.files) or column.have_image_endings or column.has_common_name
        share = len(column.files) / max(1, column.cells)
        amount = share if column.certainty >= CERTAIN else float(column.different)
        rank = name_rank(column.name, IMAGE_NAMES)
        return (
            not names_any,
            column.certainty < 0,
            not column.is_mostly_found,
            -column.certainty,
            rank,
            -amount,
        )

    return sorted(examined, key=key)


def names_images(table: Table, images: ImageFinder, *, min_files: int = 1) -> bool:
    """Whether a column names a file in half of a sample's cells or more, and at least `min_files` distinct files."""
    columns = (_examine(name, table.column(name), images) for name in table.columns)
    return any(column.is_mostly_found and column.different >= min_files for column in columns)


def describe_columns(table: Table, names: Sequence[str]) -> str:
    """List columns with their numbers of distinct values, for a message."""
    descriptions = [f"{name} ({len(set(table.column(name))):,} values)" for name in names[:8]]
    return ", ".join(descriptions) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _examine(name: str, cells: Sequence[Cell], images: ImageFinder) -> ImageColumn:
    sample = [text_of(cell) for cell in cells[:: max(1, len(cells) // _SAMPLE_SIZE)]]
    filled = [cell for cell in sample if cell]
    matches = match_names(sample, images)
    files_by_index = {at: files[0].parts for at, cell in enumerate(sample) if (files := matches.files(cell))}
    local = [cell for cell in filled if not is_web_address(cell)]
    have_image_endings = _are_most(sum(cell.lower().endswith(_ENDINGS) for cell in local), filled)
    path_count = sum("/" in cell or "\\" in cell or cell.lower().endswith(_ENDINGS) for cell in local)
    are_numbers = _are_most(sum(_NUMBER.fullmatch(cell) is not None for cell in filled), filled)
    evidence = _evidence(name, are_paths=_are_most(path_count, filled), are_numbers=are_numbers, cells=cells)
    return ImageColumn(name, evidence, are_numbers, have_image_endings, len(sample), files_by_index)


def _are_most(count: int, filled: Sequence[str]) -> bool:
    return bool(filled) and count >= MOST_CELLS * len(filled)


def _evidence(name: str, *, are_paths: bool, are_numbers: bool, cells: Sequence[Cell]) -> int:
    key = column_key(name)
    if key in LABEL_NAMES or key in SPLIT_NAMES:
        return -1
    has_common_name = key in IMAGE_NAMES
    if are_paths:
        return 4 if has_common_name else 2
    counts = are_numbers and _is_counter(cells)
    if has_common_name:
        return 3 - (counts or (are_numbers and key in _WEAK_NAMES)) - (counts and key in _WEAK_NAMES)
    unnamed = _UNNAMED.fullmatch(re.sub(r"[\W_]+", " ", name).strip().lower()) is not None
    return 0 if counts or (are_numbers and unnamed) else 1


def _is_counter(cells: Sequence[Cell]) -> bool:
    """Whether the cells are whole numbers that count the rows from 0 or 1."""
    numbers = [int(match[1]) for cell in cells if (match := _NUMBER.fullmatch(text_of(cell)))]
    return len(numbers) == len(cells) > 0 and numbers in ([*range(len(cells))], [*range(1, len(cells) + 1)])


def with_first_row(table: Table, images: ImageFinder) -> Table:
    """Turn the header into the first row if it names an image as the rows below do.

    Args:
        table: As read; it stays unchanged if the user specified whether it has a header.
        images: Finds the files that cells refer to.
    """
    if not table.header_line:
        return table
    for name, column in zip(table.columns, table.cells, strict=True):
        if is_common_column(name) or len(images.find(name)) != 1:
            continue
        sample = [text_of(cell) for cell in column[:_HEADER_ROWS]]
        matches = match_names(sample, images)
        if 2 * sum(bool(matches.files(cell)) for cell in sample) >= len(sample):
            return replace(
                table,
                form=f"{table.form}, without a line of names",
                columns=tuple(f"column {at}" for at in range(1, len(table.columns) + 1)),
                cells=tuple((name, *cells) for name, cells in zip(table.columns, table.cells, strict=True)),
                lines=(table.header_line, *table.lines),
                header_line=0,
            )
    return table


TABLE_SPLITS: dict[str, SplitName] = SPLIT_LABELS | {
    "dev": "validation",
    "eval": "validation",
    "training": "train",
    "testing": "test",
}

_MAX_LABELS = 1000

_FEW_ROWS = 20


def recognize_shape(table: Table, options: TableOptions, images: ImageFinder) -> Shape:
    """Recognize which column has which role.

    Args:
        table: As read.
        options: What the user specified about it.
        images: Finds the files that its cells refer to.

    Returns:
        The roles of the columns.

    Raises:
        DataError: No column is recognized, or the label column appears to be an identifier.
        UsageError: An option names a column that the table does not have.
    """
    for name in (options.image_column, options.label_column, *options.label_columns, options.group_column):
        if name is not None:
            table.column(name)
    image = options.image_column or recognize_image_column(table, options, images)
    label_names = {options.label_column, *options.label_columns}
    other = {image, options.group_column, *label_names}
    split = recognize_split_column(table, [name for name in table.columns if name not in other])
    rest = [name for name in table.columns if name not in {image, split, options.group_column}]
    if image in label_names:
        raise UsageError(
            f"{table.path}: column {image!r} can't name both the pictures and their labels",
            code="options_conflict",
            parameter="image_column",
        )
    if options.label_columns:
        list_column = options.label_column or _twin(table, rest, options.label_columns)
        return Shape("0/1 columns", image, options.label_columns, list_column, split_column=split)
    if options.label_column is not None:
        return _text_shape(table, image, options.label_column, split, options)
    switches = tuple(name for name in rest if column_key(name) not in LABEL_NAMES and is_switch(table.column(name)))
    if len(switches) >= 2:
        list_column = _twin(table, rest, switches)
        if list_column or not (label_column := find_label_column(rest)):
            return Shape("0/1 columns", image, switches, list_column, split_column=split)
        return _text_shape(table, image, label_column, split, options, unused=switches)
    return _text_shape(table, image, _recognize_label_column(table, image, rest), split, options)


def recognize_split_column(table: Table, columns: Sequence[str]) -> str | None:
    """The first column that is named like a split and holds only split names; None if there is none.

    Raises:
        DataError: A column ``split`` has other values among the split names.
    """
    return next((name for name in columns if _is_split(table, name)), None)


def _is_split(table: Table, name: str) -> bool:
    if column_key(name) not in SPLIT_NAMES:
        return False
    values = {text_of(cell).lower() for cell in table.column(name)} - {""}
    unknown = sorted(values - TABLE_SPLITS.keys())
    if name.lower() == "split" and unknown and values & TABLE_SPLITS.keys():
        at = next(at for at, cell in enumerate(table.column(name)) if text_of(cell).lower() == unknown[0])
        raise DataError(
            f"{table.path}: {table.place(table.lines[at])}: {unknown[0]!r} is no split; "
            f"write train, validation or test (or nothing) in column {name!r}",
            code="damaged_line",
        )
    return bool(values) and not unknown


def _recognize_label_column(table: Table, image: str, rest: Sequence[str]) -> str:
    if label_column := find_label_column(rest):
        return label_column
    listed = [name for name in rest if any(looks_listed(cell) for cell in table.column(name))]
    for names in (rest, listed, _groupings(table, rest)):
        if len(names) == 1:
            return names[0]
    columns = (
        f"besides {image!r} it has {describe_columns(table, rest)}" if rest else f"it has the column {image!r} only"
    )
    raise DataError(
        f"{table.path}: can't tell which column holds the labels; {columns}; "
        f"give {option('label_column')}, or {option('label_columns')} for columns of 0 and 1",
        code="ambiguous_column",
        parameter="label_column",
    )


def _groupings(table: Table, names: Sequence[str]) -> list[str]:
    """The columns whose values repeat, as labels do."""
    counts = {name: len({text_of(cell) for cell in table.column(name)}) for name in names}
    return [name for name in names if 2 <= counts[name] <= min(_MAX_LABELS, len(table.lines) / 2)]


def _twin(table: Table, names: Sequence[str], switches: Sequence[str]) -> str | None:
    """The column that holds the 0/1 columns' labels as text: most of its labels are their names."""
    keys = {switch.casefold() for switch in switches}
    for name in names:
        if name in switches or is_switch(table.column(name)):
            continue
        labels = {label for labels in text_labels(table.column(name)[:_SAMPLE_SIZE]) for label in labels or ()}
        if labels and 2 * sum(label.casefold() in keys for label in labels) > len(labels):
            return name
    return None


def text_labels(cells: Sequence[Cell]) -> list[tuple[str, ...] | None]:
    """The labels of every cell, parsed as a list if it is written like one; None for a damaged list."""
    if any(looks_listed(cell) for cell in cells):
        return [parse_list(cell) if cell else () for cell in cells]
    delimiter = recognize_delimiter([text_of(cell) for cell in cells])
    return [split_labels_of(cell, delimiter) for cell in cells]


def _text_shape(
    table: Table,
    image: str,
    column: str,
    split: str | None,
    options: TableOptions,
    *,
    unused: tuple[str, ...] = (),
) -> Shape:
    cells = table.column(column)
    kind: ShapeKind = "plain"
    delimiter = options.delimiter
    if delimiter is None and any(looks_listed(cell) for cell in cells):
        kind = "lists"
        labels = [parse_list(cell) or () for cell in cells]
    else:
        if delimiter is None:
            delimiter = recognize_delimiter([text_of(cell) for cell in cells])
        kind = "joined" if delimiter else "plain"
        labels = [split_labels_of(cell, delimiter) for cell in cells]
    _check_no_identifier(table, image, column, labels, named=options.label_column == column)
    return Shape(kind, image, (column,), None, delimiter or None, split, unused)


def _check_no_identifier(
    table: Table, image: str, column: str, labels: Sequence[tuple[str, ...]], *, named: bool
) -> None:
    counts = Counter(label for each in labels for label in each)
    nearly_all = 2 * len(counts) > counts.total() >= _FEW_ROWS
    if not nearly_all and (named or len(counts) <= _MAX_LABELS):
        return
    others = [name for name in _groupings(table, table.columns) if name not in {column, image}]
    candidates = f"perhaps the labels are in {' or '.join(others[:5])}; " if others else ""
    raise DataError(
        f"{table.path}: column {column!r} has {len(counts):,} different labels in {len(labels):,} rows; is it an "
        f"identifier? {candidates}name the column of the labels by {option('label_column')}",
        code="unlikely_labels",
        parameter="label_column",
    )
