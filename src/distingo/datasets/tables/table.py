"""The options for a table of labels, and its cells, normalized so that all file formats yield the same labels."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from distingo.errors import DataError, UsageError, option, suggest_names
from distingo.messages.notes import Note, note
from distingo.options.fields import Option

Cell = str | tuple[str, ...]
"""A text, or the items of a list (in JSON Lines and Parquet); a missing value is an empty text."""

LabelsFrom = Literal["folders", "table"]

MergeLabels = Literal["spelling", "missing", "all"]

NO_CLASS_NAMES = "none"
"""Value of `TableOptions.class_names` that keeps the numbers."""

_ABOUT_FOLDERS = frozenset({"--group-column", "--merge-labels", "--splits", "--labels-from"})
"""Options that also apply to class folders."""

FOLDER_ENDINGS = frozenset({".csv", ".tsv", ".tab", ".parquet", ".jsonl", ".ndjson"})
"""File extensions of tables in a folder."""

SECOND_ENDINGS = frozenset({".xlsx", ".xlsm", ".json", ".txt", ".lst", ".list"})
"""File extensions of possible tables in a folder that has none of `FOLDER_ENDINGS`."""

OTHER_PROGRAMS = {
    ".xls": "an old Excel workbook; save it as .xlsx or .csv",
    ".xlsb": "a binary Excel workbook; save it as .xlsx or .csv",
    ".ods": "a sheet of LibreOffice; save it as .csv",
    ".numbers": "a sheet of Numbers; export it as .csv",
    ".feather": "an Arrow file; write it as .parquet or .csv",
    ".arrow": "an Arrow file; write it as .parquet or .csv",
    ".pkl": "a Python pickle, which may run any code; write it as .parquet or .csv",
    ".pickle": "a Python pickle, which may run any code; write it as .parquet or .csv",
    ".mat": "a MATLAB file; write the labels as .csv",
    ".xml": "XML; write the labels as .csv",
    ".yaml": "YAML; write the labels as .csv or .json",
    ".yml": "YAML; write the labels as .csv or .json",
}
"""Unsupported files that may hold labels, by extension: what they are, and what to do."""

READ_ENDINGS = FOLDER_ENDINGS | SECOND_ENDINGS
"""File extensions of all supported tables."""

FILE_ENDINGS = READ_ENDINGS | OTHER_PROGRAMS.keys()
"""File extensions that are treated as a table if the file is named directly."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the user specified about tables of labels and about folders; everything else is detected.

    Each field is documented by its `Option`.
    """

    image_column: Annotated[
        str | None, Option(help="column that names the images", default="detected", metavar="NAME")
    ] = None
    label_column: Annotated[
        str | None,
        Option(help="column that holds the label, or several labels", default="detected", metavar="NAME"),
    ] = None
    label_columns: Annotated[
        tuple[str, ...],
        Option(help="columns of 0 and 1, one for each label", default="detected", metavar="NAME"),
    ] = ()
    delimiter: Annotated[
        str | None,
        Option(
            help="text between the labels of one cell; empty: each cell is one label",
            default="detected",
            metavar="TEXT",
        ),
    ] = None
    image_folder: Annotated[
        str | None,
        Option(
            help="folder of the table's images, at any depth, relative to the table's folder or else to the working "
            "folder",
            default="the table's own",
            metavar="FOLDER",
        ),
    ] = None
    group_column: Annotated[
        str | None,
        Option(
            help="column whose value is the same for images that must stay on one split",
            default="none",
            metavar="NAME",
        ),
    ] = None
    splits: Annotated[
        str | None,
        Option(
            help="folders of the train, validation and test splits, or none (* is every other folder; in "
            "a path such as */train any folder; {class} is a folder named like its class)",
            default="by their names, such as Training and test_set",
            metavar="train=FOLDER,test=FOLDER|none",
        ),
    ] = None
    labels_from: Annotated[
        LabelsFrom | None,
        Option(
            help="whether labels come from class folders or from a table next to them",
            default="a table with a label column that lists most images and does not repeat the folders' "
            "names, else the folders",
        ),
    ] = None
    header: Annotated[
        bool | None,
        Option(help="whether the first line holds the names of the columns", default="detected"),
    ] = None
    class_names: Annotated[
        str | None,
        Option(
            help="file with the names of numbered classes, one per line; none keeps the numbers",
            default="classes.txt or another usual name next to the table",
            metavar="FILE|none",
        ),
    ] = None
    merge_labels: Annotated[
        MergeLabels | None,
        Option(
            help="spelling: merge labels (and class folders) that differ only in case, spaces, Unicode "
            "form or number format; missing: treat NA, nan, None, - and the like as no label; all: "
            "both",
            default="they are only reported",
        ),
    ] = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The names of the specified options, as on the command line."""
        names = [field.name for field in fields(self) if getattr(self, field.name) not in (None, (), [])]
        return tuple("--no-header" if self.header is False and name == "header" else _option(name) for name in names)

    @property
    def specified(self) -> tuple[str, ...]:
        """The names of the specified options, for messages."""
        names = (field.name for field in fields(self) if getattr(self, field.name) not in (None, (), []))
        return tuple(option(name, value=False if name == "header" and not self.header else None) for name in names)

    @property
    def about_labels(self) -> tuple[str, ...]:
        """The specified options that only apply to a table of labels; class folders are then not an alternative."""
        return tuple(name for name in self.flags if name not in _ABOUT_FOLDERS)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def resolve_paths(table: TableOptions | None, data: Path) -> TableOptions | None:
    """Make an image folder and a file of class names absolute if they are relative to the working folder.

    Args:
        table: The options.
        data: The folder or table that they apply to.
    """
    if table is None:
        return table
    folder = data if data.is_dir() else data.parent
    if table.image_folder is not None and not (folder / table.image_folder).is_dir():
        table = replace(table, image_folder=str(Path(table.image_folder).resolve()))
    if table.class_names in {None, NO_CLASS_NAMES} or (folder / str(table.class_names)).is_file():
        return table
    return replace(table, class_names=str(Path(str(table.class_names)).resolve()))


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read.

    Attributes:
        path: The file.
        form: Description of the file's format, with its encoding.
        unit: What `lines` counts: ``line`` of a text, ``row`` of a Parquet file or a sheet, ``entry`` of a JSON file.
        columns: Names of the columns, without duplicates.
        cells: One entry per column: its cells from top to bottom.
        lines: Where each row begins, starting from 1.
        header_line: Line of the column names, if the header was detected and not specified; else 0.
    """

    path: Path
    form: str
    unit: str
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    lines: tuple[int, ...]
    header_line: int = 0

    def column(self, name: str) -> tuple[Cell, ...]:
        """The cells of a column.

        Raises:
            UsageError: There is no such column.
        """
        if name not in self.columns:
            suggestion = suggest_names(name, list(self.columns), otherwise="")
            columns = ", ".join(self.columns)
            choose = f"{suggestion} It has {columns}" if suggestion else f"choose one of {columns}"
            raise UsageError(f"{self.path}: no column {name!r}; {choose}", code="unknown_column")
        return self.cells[self.columns.index(name)]

    def place(self, line: int) -> Note:
        """Describe a line or row for messages: ``line 7``."""
        return note(self.unit, number=line)


def text_of(cell: Cell) -> str:
    """Join a cell into one text."""
    return cell.strip() if isinstance(cell, str) else ", ".join(cell)


_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")

_TRUTHS = ({"True", "False"}, {"TRUE", "FALSE"})


def cells_of(values: Iterable[Any]) -> tuple[Cell, ...]:
    """Convert a column of typed values to cells.

    Args:
        values: Texts, numbers, booleans, dates, lists of them, or missing values (None, NaN).

    Returns:
        Whole numbers without a decimal point, booleans as ``true`` and ``false``, missing values as empty texts, and
        datetimes as dates if all of them are midnight.
    """
    column = list(values)
    moments = [value for value in column if isinstance(value, datetime.datetime)]
    if moments and all(_is_midnight(moment) for moment in moments):
        column = [value.date() if isinstance(value, datetime.datetime) else value for value in column]
    return tuple(tuple(map(_text, value)) if isinstance(value, list | tuple) else _text(value) for value in column)


def cells_of_texts(texts: Sequence[str]) -> tuple[Cell, ...]:
    """Convert a column of a text file to cells.

    If all numbers have a decimal point (as pandas writes integers with missing values), or all values are booleans,
    they are converted back to what they were before they were written; other columns stay unchanged.
    """
    first = next((text for text in texts if text), "")
    if _DECIMAL.fullmatch(first.strip()):
        if all(_DECIMAL.fullmatch(text.strip()) for text in texts if text):
            return tuple(text.strip().removesuffix(".0") for text in texts)
    elif any(first.strip() in truths for truths in _TRUTHS):
        distinct = {text.strip() for text in texts if text}
        if any(distinct <= truths for truths in _TRUTHS):
            return tuple(text.strip().lower() for text in texts)
    return tuple(texts)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float | Decimal) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return format(value.normalize(), "f")
    return str(value)


def _is_midnight(moment: datetime.datetime) -> bool:
    return moment.tzinfo is None and moment.time() == datetime.time()


# UTF-32's byte order mark begins with UTF-16's and is therefore checked first.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32", "UTF-32"),
    (b"\x00\x00\xfe\xff", "utf-32", "UTF-32"),
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8 with byte order mark"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)


def decode_text(path: Path, data: bytes) -> tuple[str, str]:
    """Decode a table's text and name its encoding: UTF-8, that of a byte order mark, or Western European.

    Raises:
        DataError: It is invalid for its byte order mark, or contains a NUL byte.
    """
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            try:
                return _without_nul(path, data.decode(codec)), name
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: begins as {name}, but byte {error.start} does not fit; save it again",
                    code="wrong_encoding",
                ) from (error)
    try:
        return _without_nul(path, data.decode("utf-8")), "UTF-8"
    except UnicodeDecodeError:
        pass
    # Latin-1 has no printable characters from 80 to 9F, where Windows-1252 has curly quotes and the euro sign.
    if any(0x80 <= byte <= 0x9F for byte in set(data)):
        try:
            return _without_nul(path, data.decode("cp1252")), "Windows-1252"
        except UnicodeDecodeError:
            pass
    return _without_nul(path, data.decode("latin-1")), "Latin-1"


def _without_nul(path: Path, text: str) -> str:
    at = text.find("\0")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        raise DataError(
            f"{path}: line {line} holds a NUL byte; it is no text, or UTF-16 without a byte order mark",
            code="wrong_encoding",
        )
    return text


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The class names that a table's numbers stand for.

    Attributes:
        path: The file with the names.
        by_number: The name of every number.
        used: Whether the numbers are replaced.
        first: The lowest number, 0 or 1.
    """

    path: Path
    by_number: dict[str, str]
    used: bool
    first: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table assigns labels to images.

    Attributes:
        kind: One 0/1 column per label; a list per row; labels joined by a delimiter; or one label per row.
        image_column: The column that names the images.
        label_columns: One per label for 0/1 columns, else a single one.
        list_column: For 0/1 columns: the column that holds the same labels as text, or None.
        delimiter: For joined labels.
        split_column: The column that names the splits, or None.
        unused: 0/1 columns that are not read as labels, because another column holds the labels.
    """

    kind: ShapeKind
    image_column: str
    label_columns: tuple[str, ...]
    list_column: str | None = None
    delimiter: str | None = None
    split_column: str | None = None
    unused: tuple[str, ...] = ()


ShapeKind = Literal["0/1 columns", "lists", "joined", "plain"]
