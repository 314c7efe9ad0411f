"""Tables that a folder may hold besides CSV and its kin: workbooks, JSON, text lists, and what is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distingo.datasets.endings import PICTURE_ENDINGS
from distingo.datasets.image_column import names_pictures
from distingo.datasets.table_pictures import PictureFinder
from distingo.datasets.table_reading import read_labels_table
from distingo.datasets.tables import OTHER_PROGRAMS, SECOND_ENDINGS, Table, TableOptions
from distingo.datasets.walking import FoundFile
from distingo.errors import DataError

_SHEETS = frozenset({".xls", ".xlsb", ".ods", ".numbers"})


def find_second_table(root: Path, files: Sequence[FoundFile], options: TableOptions) -> Table | None:
    """Find the one file at the top of a folder that names its images, of those that often hold something else.

    Args:
        root: The folder, which holds no CSV file or the like.
        files: Every file in it.
        options: What a person says about a table.

    Returns:
        The workbook, JSON file or text list; None where none names images.

    Raises:
        DataError: Several do; or none, but there is a sheet of another program.
        UsageError: There is an Excel workbook, and openpyxl is not installed.
    """
    top = [file for file in files if len(file.parts) == 1 and not file.ignored]
    others = [file for file in files if file.path.suffix.lower() in PICTURE_ENDINGS]
    pictures = PictureFinder(root, others)
    tables = []
    for file in top:
        if file.path.suffix.lower() in SECOND_ENDINGS:
            try:
                table = read_labels_table(file.path, header=options.header)
            except DataError:
                continue  # a text or JSON file may hold anything
            if len(table.columns) > 1 and names_pictures(table, pictures, fewest=2):
                tables.append(table)
    if len(tables) > 1:
        names = ", ".join(table.path.name for table in tables)
        raise DataError(f"{root}: several tables name images ({names}); give the one with the labels as DATA")
    sheet = next((file.path for file in top if file.path.suffix.lower() in _SHEETS), None)
    if not tables and sheet is not None:
        raise DataError(f"{sheet}: is {OTHER_PROGRAMS[sheet.suffix.lower()]}")
    return tables[0] if tables else None
