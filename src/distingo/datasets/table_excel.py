"""Sheets of Excel to rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distingo.datasets.table_headers import table_of_rows
from distingo.datasets.table_values import cells_of
from distingo.datasets.tables import Table
from distingo.errors import DataError, UsageError

EXCEL_ENDINGS = frozenset({".xlsx", ".xlsm"})


def read_excel(path: Path, *, header: bool | None = None) -> Table:
    """Read the first sheet of a workbook that holds anything.

    Args:
        path: ``.xlsx`` or ``.xlsm``.
        header: As for `distingo.datasets.table_headers.table_of_rows`.

    Returns:
        Its cells as texts; formulas as the values that Excel kept with them. A number that is shown with zeros before
        it keeps them.

    Raises:
        DataError: It is damaged or empty.
        UsageError: openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UsageError(
            f"{path}: reading Excel needs openpyxl: `pip install 'distingo[excel]'`, or save the sheet as CSV"
        ) from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        sheets = {
            sheet.title: [(at, [_value(cell) for cell in row]) for at, row in enumerate(sheet.iter_rows(), 1)]
            for sheet in book.worksheets
        }
        book.close()
    except Exception as error:  # openpyxl lets zipfile's, its own and the parser's errors through
        raise DataError(f"{path}: is no readable Excel workbook ({error}); save it again, or as CSV") from error
    filled = {
        title: [row for row in rows if any(value is not None for value in row[1])] for title, rows in sheets.items()
    }
    filled = {title: rows for title, rows in filled.items() if rows}
    if not filled:
        raise DataError(f"{path}: is empty; give a table with a line of column names and one row per image")
    title, rows = next(iter(filled.items()))
    width = max(at for _, row in rows for at, value in enumerate(row, 1) if value is not None)
    columns = [cells_of(row[at] if at < len(row) else None for _, row in rows) for at in range(width)]
    texts = [(line, [str(column[at]) for column in columns]) for at, (line, _) in enumerate(rows)]
    form = f"Excel, sheet {title!r}" + (f" of {len(filled)}" if len(filled) > 1 else "")
    return table_of_rows(path, form, "row", texts, header=header)


def _value(cell: Any) -> Any:
    value = cell.value
    if isinstance(value, int) and not isinstance(value, bool):
        shown = cell.number_format
        if len(shown) > 1 and set(shown) == {"0"}:
            return str(value).zfill(len(shown))
    return value
