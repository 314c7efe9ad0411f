"""Choose whether labels come from class folders or from a table next to them, if there are both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.layouts.split_folders import class_name
from distingo.datasets.tables.columns import CERTAIN, rank_image_columns, recognize_split_column, with_first_row
from distingo.datasets.tables.headers import find_label_column, is_switch
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.matching import match_names
from distingo.datasets.tables.reading import read_labels_table
from distingo.datasets.tables.table import FOLDER_ENDINGS, SECOND_ENDINGS, LabelsFrom, Table, TableOptions, text_of
from distingo.datasets.walking import FoundFile, display_name, is_container_name, is_unlabeled_name
from distingo.errors import DataError, UsageError, name_some, option
from distingo.messages.notes import Note, name_first, note

_LABEL_ITSELF = frozenset({"label", "labels"})


@dataclass(frozen=True, slots=True)
class LabelSource:
    """The source of a data set's labels.

    Attributes:
        labels_from: The class folders or the table.
        notes: The reason, for the user; empty if there is no doubt.
    """

    labels_from: LabelsFrom
    notes: tuple[Note, ...] = ()


def choose_label_source(
    table: Table, image_column: str, classes: Collection[str], options: TableOptions
) -> LabelSource:
    """Choose between class folders and a metadata table.

    Follows Hugging Face's rule: a column ``label`` takes precedence over the folders' names. If no column is named like
    a label, the folders' names are the labels.

    Args:
        table: A metadata table, next to or above class folders.
        image_column: The column that names the images.
        classes: The names of the class folders; empty if folders are not classes, so that only the table has labels.
        options: The user's options, which take precedence.

    Raises:
        DataError: It is ambiguous; the message names the options that decide.
    """
    if not classes:
        return LabelSource("table")
    if options.labels_from or options.about_labels:
        return LabelSource(options.labels_from or "table")
    name = table.path.name
    rest = [each for each in table.columns if each not in {image_column, options.group_column}]
    split = recognize_split_column(table, rest)
    rest = [each for each in rest if each != split]
    column = find_label_column(rest)
    if column is None:
        if len(switches := [each for each in rest if is_switch(table.column(each))]) > 1:
            raise DataError(
                f"{table.path}: its images lie in class folders ({name_some(sorted(classes), 3)}), and it has columns "
                f"of 0 and 1 ({name_some(switches, 3)}); {_option_hint()}",
                code="ambiguous_labels",
                parameter="labels_from",
            )
        if not rest:
            return LabelSource("folders", (note("table-without-labels", table=name),))
        columns = name_first(rest, 5)
        return LabelSource("folders", (note("table-without-label-column", table=name, columns=columns),))
    values = {text_of(cell) for cell in table.column(column)} - {""}
    folded = {each.casefold() for each in classes}
    matching = sum(value.casefold() in folded for value in values)
    if column.lower().strip() in _LABEL_ITSELF or 2 * matching >= len(values):
        return from_table(column, table)
    raise DataError(
        f"{table.path}: its images lie in class folders ({name_some(sorted(classes), 3)}), and its column {column!r} "
        f"may hold labels too ({name_some(sorted(values), 3)}); {_option_hint()}",
        code="ambiguous_labels",
        parameter="labels_from",
    )


def from_table(column: str | None, table: Table) -> LabelSource:
    """A label source for labels from a table next to folders.

    Args:
        column: The label column; None for 0/1 columns.
        table: As read.
    """
    name = table.path.name
    reason = (
        note("labels-from-switches", table=name)
        if column is None
        else note("labels-from-table", column=column, table=name)
    )
    return LabelSource("table", (reason,))


def _option_hint() -> str:
    return f"say by {option('labels_from', 'table')} or {option('labels_from', 'folders')} which are meant"


@dataclass(frozen=True, slots=True)
class _ImageTable:
    """A table that names the images in some folders.

    Attributes:
        table: As read.
        image_column: The column that names the images.
        certainty: As `distingo.datasets.tables.columns.ImageColumn.certainty`.
        files: The images, by row index.
    """

    table: Table
    image_column: str
    certainty: int
    files: Mapping[int, FoundFile]

    def folders(self, classes: Collection[str]) -> dict[int, str]:
        """The class folder of every image, by row index; empty if it is in none."""
        return {
            at: next((name for part in file.parts[:-1] if (name := class_name(part)) in classes), "")
            for at, file in self.files.items()
        }


def find_table_next_to_folders(
    root: Path, files: Sequence[FoundFile], classes: Collection[str], options: TableOptions
) -> tuple[Table, LabelSource] | None:
    """Find a table of labels at the top of a folder that could also be read by its folders' names.

    The table counts if it names more than half of the images, or if none of the images it names is in a folder that may
    be a class (``images`` is not), and if it does not just repeat the folders' names.

    Args:
        root: The folder.
        files: Every file in it.
        classes: The names of the folders that may be classes.
        options: What the user specified about a table.

    Returns:
        The table and whether its labels are used; None if there is none, so that the folders' names are the labels.

    Raises:
        DataError: It is ambiguous; the message names the options that decide.
    """
    top_files = [file for file in files if len(file.parts) == 1 and not file.ignored]
    top_files = [file for file in top_files if not is_unlabeled_name(file.path.stem)]
    images = [file for file in files if not file.ignored and file.path.suffix.lower() in IMAGE_ENDINGS]
    finder = ImageFinder(root, images)
    for endings in (FOLDER_ENDINGS, SECOND_ENDINGS):
        image_tables = [
            each
            for file in top_files
            if file.path.suffix.lower() in endings and (each := _read(file.path, finder, options))
            if _adds_labels(each, classes, len(images))
        ]
        if image_tables:
            return _choose(root, image_tables, classes, options)
    return None


def _read(path: Path, images: ImageFinder, options: TableOptions) -> _ImageTable | None:
    """Read a table if one of its columns names an image in most of its cells."""
    try:
        table = with_first_row(read_labels_table(path, header=options.header), images)
    except (DataError, UsageError):
        return None  # folders suffice without it
    ranked = rank_image_columns(table, options, images)
    if len(table.columns) < 2 or not ranked or not ranked[0].is_mostly_found:
        return None
    names = [text_of(cell) for cell in table.column(ranked[0].name)]
    matches = match_names(names, images)
    files = {at: matched[0] for at, name in enumerate(names) if len(matched := matches.files(name)) == 1}
    if 2 * len(files) < len(names):
        return None
    return _ImageTable(table, ranked[0].name, ranked[0].certainty, files)


def _adds_labels(each: _ImageTable, classes: Collection[str], images: int) -> bool:
    """Whether a table is about the images, and adds to the folders' names."""
    names_most_images = 2 * len({file.parts for file in each.files.values()}) > images
    return (names_most_images or (each.certainty >= CERTAIN and _is_in_no_class(each, classes))) and not _repeats(
        each, classes
    )


def _is_in_no_class(each: _ImageTable, classes: Collection[str]) -> bool:
    return all(not name or is_container_name(name) for name in each.folders(classes).values())


def _repeats(each: _ImageTable, classes: Collection[str]) -> bool:
    """Whether a column repeats the folders' names, or the label column has one label for each folder."""
    folders = each.folders(classes)
    if not all(folders.values()):
        return False
    label = find_label_column(_others(each))
    for column in _others(each):
        cells = each.table.column(column)
        pairs = {(text_of(cells[at]).casefold(), name.casefold()) for at, name in folders.items()}
        if all(value == name for value, name in pairs):
            return True
        one_to_one = len({value for value, _ in pairs}) == len({name for _, name in pairs}) == len(pairs) > 1
        if column == label and one_to_one:
            return True
    return False


def _others(each: _ImageTable) -> list[str]:
    return [name for name in each.table.columns if name != each.image_column]


def _choose(
    root: Path, tables: Sequence[_ImageTable], classes: Collection[str], options: TableOptions
) -> tuple[Table, LabelSource] | None:
    labeled = [each for each in tables if find_label_column(_others(each)) or len(_switches(each)) > 1]
    if len(labeled) > 1:
        names = ", ".join(each.table.path.name for each in labeled)
        raise DataError(
            f"{root}: several tables name images ({names}), and there are folders that may be classes "
            f"({name_some(sorted(classes), 3)}); give the table with the labels as {option('data')}, or "
            f"{option('labels_from', 'folders')}",
            code="ambiguous_labels",
            parameter="labels_from",
        )
    if labeled:
        (each,) = labeled
        column = find_label_column(_others(each))
        if _is_in_no_class(each, classes):
            return each.table, from_table(column, each.table)
        return each.table, choose_label_source(each.table, each.image_column, classes, options)
    for each in tables:
        if _is_in_no_class(each, classes):
            first = next(iter(each.files.values()))
            raise DataError(
                f"{each.table.path}: names images such as {display_name(first.parts)}, which is in no folder that "
                f"looks like a class ({name_some(sorted(classes), 3)}); {_option_hint()}",
                code="ambiguous_labels",
                parameter="labels_from",
            )
    return None


def _switches(each: _ImageTable) -> list[str]:
    return [name for name in _others(each) if is_switch(each.table.column(name))]
