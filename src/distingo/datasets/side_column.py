"""A column of splits in a table beside class folders: the folders say the labels, the table who is on which split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from distingo.datasets.candidates import Layout
from distingo.datasets.table_matching import match_names
from distingo.datasets.table_pictures import PictureFinder
from distingo.datasets.table_shapes import TABLE_SIDES, recognise_side_column
from distingo.datasets.tables import Table, text_of
from distingo.datasets.walking import FoundFile, display_name
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
    note = f"the splits are column {column!r} of {table.path.name}"
    return replace(layout, candidates=candidates, notes=(*layout.notes, note))
