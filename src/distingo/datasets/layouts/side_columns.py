"""A column of splits in a table beside class folders: the folders say the labels, the table who is on which split.

A column of groups in a table beside class folders: the folders say the labels, the table what belongs together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from distingo.datasets.tables.columns import TABLE_SIDES, recognise_side_column
from distingo.datasets.tables.finding import tables_in
from distingo.datasets.tables.image_column import recognise_image_column
from distingo.datasets.tables.image_files import PictureFinder
from distingo.datasets.tables.matching import match_names
from distingo.datasets.tables.reading import read_labels_table
from distingo.datasets.tables.table import Table, TableOptions, text_of
from distingo.datasets.walking import FoundFile, Layout, display_name
from distingo.errors import UsageError, name_the_nearest
from distingo.messages.notes import note
from distingo.records import Side


def with_sides(layout: Layout, files: Sequence[FoundFile], table: Table, image_column: str) -> Layout:
    """Add to class folders what a table of metadata says about splits, unless split folders say it already.

    Args:
        layout: Of the folders.
        files: Every file found.
        table: Of metadata, in the same folder.
        image_column: The one that names the images.

    Returns:
        The layout with the splits, and a note on the column; unchanged where the table has none. An image that the
        table puts on two splits, or on none, is on none.

    Raises:
        DataError: A column ``split`` names something else among the splits.
    """
    column = recognise_side_column(table, [name for name in table.columns if name != image_column])
    if column is None or any(candidate.side for candidate in layout.candidates):
        return layout
    pictures = PictureFinder(layout.root, [file for file in files if file.path != table.path])
    sides: dict[str, set[Side]] = {}
    names = [text_of(cell) for cell in table.column(image_column)]
    matches = match_names(names, pictures)
    for name, value in zip(names, table.column(column), strict=True):
        meant = matches.files(name)
        side = TABLE_SIDES.get(text_of(value).lower())
        if len(meant) == 1 and side:
            sides.setdefault(display_name(meant[0].parts), set()).add(side)
    known = {file: next(iter(found)) for file, found in sides.items() if len(found) == 1}
    candidates = tuple(replace(each, side=known.get(each.source.file)) for each in layout.candidates)
    splits = note("splits-from-column", column=column, table=table.path.name)
    return replace(layout, candidates=candidates, notes=(*layout.notes, splits))


def with_groups(layout: Layout, files: Sequence[FoundFile], column: str, image_column: str | None = None) -> Layout:
    """Add to class folders what a table in the same folder says about groups.

    Args:
        layout: Of the folders.
        files: Every file found.
        column: The name of the column.
        image_column: The column that names the images; None finds out.

    Returns:
        The layout with its groups, and a note on which table they are from and what it leaves open.

    Raises:
        DataError: The table can't be read, or no column of it names pictures.
        UsageError: No table has such a column, or several have.
    """
    found = tables_in(files)
    table = _choose(layout, [read_labels_table(file.path) for file in found], column)
    pictures = PictureFinder(layout.root, [file for file in files if file not in found])
    image = image_column or recognise_image_column(table, TableOptions(group_column=column), pictures)
    groups: dict[str, set[str]] = defaultdict(set)
    unclear = 0
    names = [text_of(cell) for cell in table.column(image)]
    matches = match_names(names, pictures)
    for name, value in zip(names, table.column(column), strict=True):
        meant = matches.files(name)
        unclear += len(meant) != 1
        if len(meant) == 1 and text_of(value):
            groups[display_name(meant[0].parts)].add(text_of(value))
    alone = sum(candidate.source.file not in groups for candidate in layout.candidates)
    gaps = (
        *([note("images-without-group", count=alone)] if alone else []),
        *([note("rows-without-image", count=unclear)] if unclear else []),
    )
    rest = note("groups-incomplete", gaps=gaps) if gaps else ""
    found_groups = note("groups-from-column", column=column, table=table.path.name, rest=rest)
    return replace(
        layout,
        groups={file: tuple(sorted(values)) for file, values in groups.items()},
        notes=(found_groups, *layout.notes),
    )


def _choose(layout: Layout, tables: Sequence[Table], column: str) -> Table:
    if not tables:
        raise UsageError(f"{layout.root}: holds no table for --group-column; give the table as DATA")
    having = [table for table in tables if column in table.columns]
    if len(having) > 1:
        names = ", ".join(table.path.name for table in having)
        raise UsageError(f"{layout.root}: several tables have a column {column!r} ({names}); move all but one away")
    if not having:
        known = [name for table in tables for name in table.columns]
        names = ", ".join(table.path.name for table in tables)
        raise UsageError(f"{layout.root}: no column {column!r} in {names}; {name_the_nearest(column, known)}")
    return having[0]
