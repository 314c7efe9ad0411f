"""Turn a table next to images into candidates, accounting for every row and every file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.corrections import describe_labels_table
from distingo.datasets.tables.columns import recognize_shape, with_first_row
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.matching import Matches, folder_name, match_names
from distingo.datasets.tables.notes import LayoutFacts, describe_layout, missing_hint
from distingo.datasets.tables.rows import (
    LabeledRow,
    find_class_names,
    find_disagreements,
    merge_variants,
    read_rows,
    with_class_names,
)
from distingo.datasets.tables.table import Shape, Table, TableOptions, text_of
from distingo.datasets.walking import Candidate, FoundFile, Layout, display_name, ignored_row, split_of_path
from distingo.errors import DataError, option
from distingo.messages.notes import Note, note
from distingo.records import ManifestRow, ManifestStatus, Source, SplitName, Task

_SEVERAL_ROWS = 0.2
"""If at least this share of images has rows with different labels, the table has one row per image and label."""


@dataclass(frozen=True, slots=True)
class _NamedImage:
    """All rows that name one image, and the files that they may refer to (none: the image is missing)."""

    name: str
    files: tuple[FoundFile, ...]
    rows: tuple[LabeledRow, ...]

    @property
    def lines(self) -> tuple[int, ...]:
        return tuple(row.line for row in self.rows)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({label for row in self.rows for label in row.labels}))

    @property
    def split(self) -> SplitName | None:
        return next((row.split for row in self.rows if row.split), None)


def table_layout(
    root: Path,
    table: Table,
    files: Sequence[FoundFile],
    options: TableOptions,
    *,
    below: tuple[str, ...] = (),
    allow_missing: bool = False,
    min_classes: int = 2,
) -> Layout:
    """Match a table's rows to files and their labels.

    Args:
        root: The folder that the files' parts are relative to.
        table: As read.
        files: Every file found; the table itself may be among them.
        options: What the user specified about the table.
        below: The image folder's parts.
        allow_missing: Continue even if half of the table's images are missing.
        min_classes: For single-label data, refuse a table with fewer classes.

    Returns:
        The layout. An image with contradicting rows is a conflict, unless the table has one row per image and label.

    Raises:
        DataError: The table can't be understood, or too many images are missing.
        UsageError: An option does not fit the table.
    """
    usable = [file for file in files if not _is_same(file.path, table.path)]
    images = ImageFinder(root, usable, below=below, anywhere=options.image_folder is not None)
    table = with_first_row(table, images)
    shape = recognize_shape(table, options, images)
    rows = read_rows(table, shape)
    rows, variants = merge_variants(rows, options.merge_labels)
    class_names = find_class_names(table, rows, options)
    rows = with_class_names(rows, class_names)
    matches = match_names((row.name for row in rows), images)
    if _are_in_class_folders(rows, matches):
        images = ImageFinder(root, usable, below=below, anywhere=True)
        matches = match_names((row.name for row in rows), images)
    images_by_name = _gather(rows, matches)
    _check_missing(table, shape, images_by_name, matches, allow_missing=allow_missing)
    per_label = shape.kind == "plain" and _is_row_per_label(images_by_name)
    task: Task = "multi-label" if per_label or _is_multi_label(images_by_name, shape) else "single-label"
    candidates, left_out = _to_candidates(table, images_by_name, matches, per_label=per_label, task=task)
    candidates = _splits_of_folders(candidates, shape)
    classes = sorted({label for candidate in candidates for label in candidate.labels})
    _check_classes(table, shape, candidates, left_out, min_classes if task == "single-label" else 1)
    ignored = [*left_out, *_unnamed_rows(table, files, candidates, left_out, images_by_name, below)]
    facts = LayoutFacts(
        table,
        shape,
        task,
        per_label,
        tuple(candidates),
        tuple(left_out),
        len(images_by_name),
        find_disagreements(table, shape, rows),
        matches,
        class_names,
        variants,
        options.merge_labels,
        may_name_folder=options.image_folder is None and not below,
    )
    name, notes = describe_layout(facts)
    groups = _groups(table, options, candidates)
    return Layout(name, tuple(classes), tuple(candidates), tuple(ignored), root, task, notes, groups, variants)


def _groups(table: Table, options: TableOptions, candidates: Sequence[Candidate]) -> dict[str, tuple[str, ...]]:
    """Map each file to the distinct values of the group column in the rows that name it."""
    if options.group_column is None:
        return {}
    cells = dict(zip(table.lines, map(text_of, table.column(options.group_column)), strict=True))
    values_by_file = {each.source.file: sorted({cells[line] for line in each.lines} - {""}) for each in candidates}
    return {file: tuple(values) for file, values in values_by_file.items() if values}


def _is_same(one: Path, other: Path) -> bool:
    return one.name == other.name and one.resolve() == other.resolve()


def _are_in_class_folders(rows: Sequence[LabeledRow], matches: Matches) -> bool:
    """Whether the names outside the main folder have labels of their own, or their folders are named like labels."""
    strays = matches.strays.files
    if not strays:
        return False
    found_labels = {label for row in rows if matches.files(row.name) for label in row.labels}
    stray_labels = {label for row in rows if row.name in strays for label in row.labels}
    folders = {file.parts[-2].casefold() for file in strays.values() if len(file.parts) > 1}
    return found_labels.isdisjoint(stray_labels) or not folders.isdisjoint(
        label.casefold() for label in found_labels | stray_labels
    )


def _gather(rows: Sequence[LabeledRow], matches: Matches) -> list[_NamedImage]:
    """Collect the rows of each image, however they spell its name."""
    groups: dict[tuple[str, ...], list[LabeledRow]] = defaultdict(list)
    files_by_key: dict[tuple[str, ...], tuple[FoundFile, ...]] = {}
    for row in rows:
        files = matches.files(row.name)
        # a name that leads to one file is identified by the file, any other by itself, and an empty one by its line
        key = files[0].parts if len(files) == 1 else ("", row.name) if row.name else ("", "", str(row.line))
        groups[key].append(row)
        files_by_key[key] = files
    return [_NamedImage(members[0].name, files_by_key[key], tuple(members)) for key, members in groups.items()]


def _check_missing(
    table: Table, shape: Shape, named: Sequence[_NamedImage], matches: Matches, *, allow_missing: bool
) -> None:
    missing = [each for each in named if not each.files]
    if len(missing) == len(named) or (2 * len(missing) >= len(named) and not allow_missing):
        first = missing[0]
        allow_hint = (
            "" if len(missing) == len(named) else f", or go on with the others by {option('allow_missing', value=True)}"
        )
        check_hint = f"check {option('image_folder')} and {option('image_column')}"
        raise DataError(
            f"{table.path}: {len(missing):,} of {len(named):,} pictures named in column {shape.image_column!r} are "
            f"missing (first: {first.name!r}, {table.place(first.lines[0])}); "
            f"{missing_hint(matches) or check_hint}{allow_hint}",
            code="missing_images",
        )


def _is_row_per_label(named: Sequence[_NamedImage]) -> bool:
    differing = sum(len({row.labels for row in each.rows if row.labels}) > 1 for each in named)
    return differing >= _SEVERAL_ROWS * len(named)


def _is_multi_label(named: Sequence[_NamedImage], shape: Shape) -> bool:
    """Whether an existing image has several labels, or none in a table where that is meaningful.

    An empty cell in a column of single labels means that the image was not labeled, not that no label fits.
    """
    if shape.kind == "plain":
        return False
    return any(len(row.labels) != 1 for each in named if len(each.files) == 1 for row in each.rows if not row.problem)


def _to_candidates(
    table: Table, named: Sequence[_NamedImage], matches: Matches, *, per_label: bool, task: Task
) -> tuple[list[Candidate], list[ManifestRow]]:
    candidates, left_out = [], []
    for each in named:
        status, reason = _status_and_reason(table, each, matches, per_label=per_label, task=task)
        if status == "used":
            (file,) = each.files
            source = Source(display_name(file.parts), file.path)
            candidates.append(Candidate(source, each.labels, each.split, each.lines))
        else:
            single = each.files[0] if len(each.files) == 1 else None
            name = display_name(single.parts) if single else each.name or f"{table.path.name}#{each.lines[0]}"
            left_out.append(ManifestRow(name, status, reason, each.labels, each.split, "", 0, 0, "", lines=each.lines))
    candidates.sort(key=lambda candidate: candidate.source.file)
    return candidates, left_out


def _status_and_reason(
    table: Table, each: _NamedImage, matches: Matches, *, per_label: bool, task: Task
) -> tuple[ManifestStatus, Note | None]:
    if missing := _missing_reason(table, each, matches):
        return "missing", missing
    if len(each.files) > 1:
        names = [display_name(file.parts) for file in each.files]
        if len(names) > 3:
            return "conflict", note("ambiguous-name-of-many", names=tuple(names[:3]), count=len(names))
        return "conflict", note("ambiguous-name", names=tuple(names))
    if contradiction := _contradiction(table, each.rows, per_label=per_label):
        return "conflict", contradiction
    problem = each.files[0].ignored or next((row.problem for row in each.rows if row.problem), None)
    if not problem and task == "single-label" and not each.labels:
        problem = note("no-label", said_place=table.place(each.lines[0]))
    return ("ignored", problem) if problem else ("used", None)


def _missing_reason(table: Table, each: _NamedImage, matches: Matches) -> Note | None:
    name = table.path.name
    if not each.rows[0].name:
        return note("names-nothing", said_place=table.place(each.lines[0]), table=name)
    if stray := matches.strays.files.get(each.name):
        return note("elsewhere-only", table=name, folder=folder_name(stray.parts[:-1]))
    return None if each.files else note("no-such-file", table=name)


def _contradiction(table: Table, rows: Sequence[LabeledRow], *, per_label: bool) -> Note | None:
    valid = [row for row in rows if not row.problem]
    if not per_label and (pair := _first_different(valid, [row.labels for row in valid])):
        return note("contradicting-rows", rows=tuple(_labels_note(table, row) for row in pair))
    with_split = [row for row in valid if row.split]
    if pair := _first_different(with_split, [row.split for row in with_split]):
        return note("contradicting-rows", rows=tuple(_split_note(table, row) for row in pair))
    return None


def _labels_note(table: Table, row: LabeledRow) -> Note:
    place = table.place(row.line)
    if not row.labels:
        return note("row-without-label", said_place=place)
    return note("row-with-labels", said_place=place, labels=row.labels)


def _split_note(table: Table, row: LabeledRow) -> Note:
    return note("row-with-side", said_place=table.place(row.line), said_side=note(row.split or "train"))


def _first_different(rows: Sequence[LabeledRow], values: Sequence[object]) -> tuple[LabeledRow, LabeledRow] | None:
    for row, value in zip(rows, values, strict=True):
        if value != values[0]:
            return rows[0], row
    return None


def _splits_of_folders(candidates: list[Candidate], shape: Shape) -> list[Candidate]:
    """Derive the splits from folders called train, val and test if every image is in one of them."""
    splits = [split_of_path(candidate.source.file) for candidate in candidates]
    if shape.split_column or None in splits or len(set(splits)) < 2:
        return candidates
    return [
        Candidate(candidate.source, candidate.labels, split, candidate.lines)
        for candidate, split in zip(candidates, splits, strict=True)
    ]


def _check_classes(
    table: Table, shape: Shape, candidates: Sequence[Candidate], left_out: Sequence[ManifestRow], min_classes: int
) -> None:
    if not candidates:
        first = left_out[0]
        raise DataError(
            f"{table.path}: none of its {len(left_out):,} pictures can be used (first: {first.file}: {first.reason})",
            code="no_usable_images",
        )
    columns = ", ".join(shape.label_columns[:5])
    classes = sorted({label for candidate in candidates for label in candidate.labels})
    if not classes:
        raise DataError(
            f"{table.path}: no picture has a label in {columns}; name other columns by {option('label_column')}",
            code="missing_labels",
            parameter="label_column",
        )
    if len(classes) < min_classes:
        raise DataError(
            f"{table.path}: one label only ({classes[0]}, {len(candidates):,} pictures) in {columns}; "
            f"a classifier needs at least two",
            code="too_few_classes",
        )


def _unnamed_rows(
    table: Table,
    files: Sequence[FoundFile],
    candidates: Sequence[Candidate],
    left_out: Sequence[ManifestRow],
    named: Sequence[_NamedImage],
    below: tuple[str, ...],
) -> list[ManifestRow]:
    """Account for the files that are neither candidates nor left out by a row."""
    accounted = {candidate.source.file for candidate in candidates} | {row.file for row in left_out}
    ambiguous = {file.parts: each.name for each in named if len(each.files) > 1 for file in each.files}
    rows = []
    for file in files:
        if display_name(file.parts) in accounted:
            continue
        reason = file.ignored
        if not reason and _is_same(file.path, table.path):
            reason = describe_labels_table(table.path)
        if not reason and file.parts in ambiguous:
            reason = note("maybe-named", table=table.path.name, name=ambiguous[file.parts])
        if not reason and file.parts[: len(below)] != below:
            reason = note("outside-image-folder", folder="/".join(below))
        rows.append(ignored_row(file, reason or note("not-named", table=table.path.name)))
    return rows
