"""Recognize the column that names the images, by its name, its cells and the files found; also 0/1 columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.tables.image_files import ImageFinder, is_web_address
from distingo.datasets.tables.matching import match_names
from distingo.datasets.tables.table import Cell, Table, TableOptions, text_of
from distingo.errors import DataError, option

# The likeliest first, in lower case and without punctuation: "File_Name" is "filename".
IMAGE_NAMES = (
    *("filename", "file", "filepath", "filepaths", "path", "imagepath", "imagename", "imagefile", "image", "images"),
    *("imageid", "img", "imgname", "imgid", "imgpath", "picture", "photo", "poster", "fname", "id", "name"),
)

LABEL_NAMES = (
    *("label", "labels", "class", "classes", "classname", "category", "categories", "target", "targets", "tag", "tags"),
    *("genre", "genres", "species", "breed"),
)

SPLIT_NAMES = frozenset({"split", "set", "subset", "partition", "dataset", "side", "phase"})


def names_labels(columns: Sequence[str]) -> bool:
    """Whether a table has, by the column names, one column for images and one for labels."""
    keys = {column_key(name) for name in columns}
    return not keys.isdisjoint(IMAGE_NAMES) and not keys.isdisjoint(LABEL_NAMES)


def named_like_images(columns: Sequence[str]) -> list[str]:
    """The columns that hold images according to their names, the likeliest first."""
    matching = [name for name in columns if column_key(name) in IMAGE_NAMES]
    return sorted(matching, key=lambda name: name_rank(name, IMAGE_NAMES))


def is_known_column(name: str) -> bool:
    """Whether a text is a common name of a column of images, labels or splits."""
    key = column_key(name)
    return key in IMAGE_NAMES or key in LABEL_NAMES or key in SPLIT_NAMES


def known_label_column(names: Sequence[str]) -> str | None:
    """The column that is most likely the label's, by its name alone; None if no name is a common one."""
    ranked = sorted(
        (name for name in names if column_key(name) in LABEL_NAMES), key=lambda name: name_rank(name, LABEL_NAMES)
    )
    return ranked[0] if ranked else None


def column_key(name: str) -> str:
    """Normalize a column's name to lower case without punctuation, as the common names are written here."""
    return re.sub(r"[\W_]", "", name).lower()


def name_rank(name: str, known: Sequence[str]) -> int:
    """The index of a column's name among common ones; their number if it is none of them."""
    return known.index(column_key(name)) if column_key(name) in known else len(known)


YES = frozenset({"1", "1.0", "true", "yes"})

NO = frozenset({"0", "0.0", "false", "no"})

SPARSE_NO = frozenset({"", "-1", "-1.0"})
"""Values that mean no in a column without any 0."""

_SWITCHES = YES | NO | SPARSE_NO

_MOSTLY = 0.9


def is_switch(cells: Sequence[Cell]) -> bool:
    """Whether a column holds 0 and 1, except for a few unknown values."""
    counts = Counter(cells)
    filled = {cell: count for cell, count in counts.items() if cell}
    switch_count = sum(count for cell, count in filled.items() if text_of(cell).lower() in _SWITCHES)
    return bool(filled) and switch_count >= _MOSTLY * sum(filled.values())


_LOOKED_AT = 500

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
        end_like_images: Whether nearly all cells end like the names of image files.
        cells: Number of cells that were looked up.
        found: The file of each cell that names one, by the cell's index.
    """

    name: str
    certainty: int
    are_numbers: bool
    end_like_images: bool
    cells: int
    found: Mapping[int, tuple[str, ...]]

    @property
    def different(self) -> int:
        """Number of distinct files that it names."""
        return len(set(self.found.values()))

    @property
    def is_mostly_found(self) -> bool:
        """Whether at least half of its cells name a file."""
        return bool(self.found) and 2 * len(self.found) >= self.cells

    @property
    def is_known(self) -> bool:
        """Whether it has a common name for an image column."""
        return column_key(self.name) in IMAGE_NAMES

    def is_rival_of(self, best: ImageColumn) -> bool:
        """Whether it is an equally likely candidate that leads to different files."""
        common = self.found.keys() & best.found.keys()
        agrees = bool(common) and all(self.found[at] == best.found[at] for at in common)
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
        return bool(self.found) or (self.end_like_images and not best.is_known)

    def described(self) -> str:
        """Its name and the number of inspected cells that name a file, for messages."""
        return f"{self.name!r} ({len(self.found):,} of {self.cells:,} cells name a file)"


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
    if not ranked or not (ranked[0].found or ranked[0].is_known or ranked[0].end_like_images):
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
    """Rank the columns that may name the images, the likeliest first; columns with most files found come first.

    Args:
        table: As read.
        options: Which columns have another role.
        images: Finds the files that cells refer to.
    """
    assigned = {options.label_column, *options.label_columns, options.group_column}
    unassigned = [name for name in table.columns if name not in assigned and not is_switch(table.column(name))]
    examined = [_examine(name, table.column(name), images) for name in unassigned]

    def key(column: ImageColumn) -> tuple[bool, bool, bool, int, int, float]:
        names_any = bool(column.found) or column.end_like_images or column.is_known
        share = len(column.found) / max(1, column.cells)
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


def names_images(table: Table, images: ImageFinder, *, fewest: int = 1) -> bool:
    """Whether a column names a file in half of a sample's cells or more, and at least `fewest` distinct files."""
    columns = (_examine(name, table.column(name), images) for name in table.columns)
    return any(column.is_mostly_found and column.different >= fewest for column in columns)


def describe_columns(table: Table, names: Sequence[str]) -> str:
    """List columns with their numbers of distinct values, for a message."""
    descriptions = [f"{name} ({len(set(table.column(name))):,} values)" for name in names[:8]]
    return ", ".join(descriptions) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _examine(name: str, cells: Sequence[Cell], images: ImageFinder) -> ImageColumn:
    sample = [text_of(cell) for cell in cells[:: max(1, len(cells) // _LOOKED_AT)]]
    filled = [cell for cell in sample if cell]
    matches = match_names(sample, images)
    files_by_index = {at: files[0].parts for at, cell in enumerate(sample) if (files := matches.files(cell))}
    local = [cell for cell in filled if not is_web_address(cell)]
    end_like_images = _are_most(sum(cell.lower().endswith(_ENDINGS) for cell in local), filled)
    path_count = sum("/" in cell or "\\" in cell or cell.lower().endswith(_ENDINGS) for cell in local)
    are_numbers = _are_most(sum(_NUMBER.fullmatch(cell) is not None for cell in filled), filled)
    evidence = _evidence(name, are_paths=_are_most(path_count, filled), are_numbers=are_numbers, cells=cells)
    return ImageColumn(name, evidence, are_numbers, end_like_images, len(sample), files_by_index)


def _are_most(count: int, filled: Sequence[str]) -> bool:
    return bool(filled) and count >= _MOSTLY * len(filled)


def _evidence(name: str, *, are_paths: bool, are_numbers: bool, cells: Sequence[Cell]) -> int:
    key = column_key(name)
    if key in LABEL_NAMES or key in SPLIT_NAMES:
        return -1
    has_known_name = key in IMAGE_NAMES
    if are_paths:
        return 4 if has_known_name else 2
    counts = are_numbers and _is_counter(cells)
    if has_known_name:
        return 3 - (counts or (are_numbers and key in _WEAK_NAMES)) - (counts and key in _WEAK_NAMES)
    unnamed = _UNNAMED.fullmatch(re.sub(r"[\W_]+", " ", name).strip().lower()) is not None
    return 0 if counts or (are_numbers and unnamed) else 1


def _is_counter(cells: Sequence[Cell]) -> bool:
    """Whether the cells are whole numbers that count the rows from 0 or 1."""
    numbers = [int(match[1]) for cell in cells if (match := _NUMBER.fullmatch(text_of(cell)))]
    return len(numbers) == len(cells) > 0 and numbers in ([*range(len(cells))], [*range(1, len(cells) + 1)])
