"""Describe what was recognized in a table, as notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distingo.datasets.tables.labels import DELIMITER_NAMES, describe_variants, tidy_labels
from distingo.datasets.tables.matching import Matches, Rerooting, folder_name
from distingo.datasets.tables.table import ClassNames, MergeLabels, Shape, Table
from distingo.datasets.walking import Candidate, display_name
from distingo.messages.notes import Note, Value, note
from distingo.records import LabelVariants, ManifestRow, Task


@dataclass(frozen=True, slots=True)
class LayoutFacts:
    """The facts about a table's layout that notes report.

    Attributes:
        table: As read.
        shape: As recognized.
        task: As decided.
        per_label: Whether there is one row per image and label.
        candidates: The usable images.
        left_out: Images that the table names but that can't be used.
        named: Number of distinct images that the table names.
        disagreements: Lines where the 0/1 columns and the text column differ.
        matches: The files that the images' names refer to.
        class_names: The names of numbered classes; None if there are none.
        variants: Labels that differ only in spelling.
        merge: Which of them were merged.
        may_name_folder: Whether --image-folder could have been specified, but was not.
    """

    table: Table
    shape: Shape
    task: Task
    per_label: bool
    candidates: tuple[Candidate, ...]
    left_out: tuple[ManifestRow, ...]
    named: int
    disagreements: Sequence[int]
    matches: Matches
    class_names: ClassNames | None = None
    variants: tuple[LabelVariants, ...] = ()
    merge: MergeLabels | None = None
    may_name_folder: bool = False


def describe_layout(facts: LayoutFacts) -> tuple[Note, tuple[Note, ...]]:
    """Describe a layout.

    Args:
        facts: The facts about the layout.

    Returns:
        Its name, and notes for the user: first what was recognized, then anything unusual.
    """
    units = plural(facts.table.unit)
    labels = (*_class_names(facts), *describe_variants(facts.variants, facts.merge, units))
    unusual = (*_columns(facts), *labels, *_paths(facts.matches), *_strays(facts), *_repeats(facts), *_left_out(facts))
    notes = [_recognized(facts), _task(facts), *unusual]
    return note(_LAYOUTS[_shape(facts)], **_of_shape(facts), table=facts.table.path.name), tuple(notes)


def plural(unit: str) -> str:
    """The plural of a table's unit, such as lines or entries."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def missing_hint(matches: Matches) -> Note | None:
    """A hint on why images are missing; None if there is none."""
    rerooting = matches.rerooting
    if rerooting is not None and not rerooting.certain:
        return _describe_ambiguity(rerooting)
    if matches.web_addresses:
        return note("web-addresses")
    if matches.lost_zeros:
        name, file = matches.lost_zeros[0]
        return note("zeros-lost", name=name, file=display_name(file.parts))
    return None


def _describe_ambiguity(moved: Rerooting) -> Note:
    paths = note("paths-under", prefix=moved.prefix) if moved.prefix else note("relative-paths")
    folder = folder_name(moved.folder)
    if not moved.rivals:
        return note("paths-maybe-moved", folder=folder, found=moved.found, total=moved.named, said=paths, again=folder)
    folders = [(moved.folder, moved.found), *moved.rivals][:3]
    with_counts = tuple(note("folder-with", folder=folder_name(each), count=count) for each, count in folders)
    return note("paths-maybe-in", said=paths, folders=with_counts)


def _paths(matches: Matches) -> list[Note]:
    """Notes on names that were not matched literally."""
    notes = []
    rerooting, narrowing = matches.rerooting, matches.narrowing
    if rerooting is not None and rerooting.certain:
        values: dict[str, Value] = {
            "folder": folder_name(rerooting.folder),
            "found": rerooting.found,
            "total": rerooting.named,
        }
        if rerooting.prefix:
            notes.append(Note("paths-moved", {"prefix": rerooting.prefix, **values}))
        else:
            notes.append(Note("relative-paths-moved", values))
    elif rerooting is not None:
        notes.append(_describe_ambiguity(rerooting))
    if narrowing is not None:
        notes.append(
            note(
                "names-in-one-folder",
                folder=folder_name(narrowing.folder),
                found=narrowing.found,
                total=narrowing.named,
                elsewhere=narrowing.elsewhere,
            )
        )
    for names, code in ((matches.any_case, "names-in-other-case"), (matches.decoded, "names-decoded")):
        if names:
            (file,) = matches.files(names[0])
            notes.append(note(code, count=len(names), name=names[0], file=display_name(file.parts)))
    if matches.lost_zeros and not (rerooting is not None and not rerooting.certain) and (hint := missing_hint(matches)):
        notes.append(note("numbers-name-nothing", count=len(matches.lost_zeros), said=hint))
    return notes


def _strays(facts: LayoutFacts) -> list[Note]:
    """Note bare names that are in other folders only, and the option that includes them."""
    strays = facts.matches.strays
    if not strays.files:
        return []
    name, file = next(iter(strays.files.items()))
    shared = strays.shared_folder
    hint = note("image-folder-takes-them", folder=display_name(shared) if shared else ".")
    if not facts.may_name_folder or shared == strays.folder:
        hint = note("write-their-folders")
    return [
        note(
            "names-elsewhere",
            count=len(strays.files),
            folder=folder_name(strays.folder),
            name=name,
            file=display_name(file.parts),
            said=hint,
        )
    ]


_LAYOUTS = {
    "switches": "table-of-switches",
    "lists": "table-of-lists",
    "joined-labels": "table-of-joined-labels",
    "row-per-label": "table-of-labels",
    "row-per-image": "table-of-images",
}
"""The code of the layout, by the code of the table's shape."""


def _shape(facts: LayoutFacts) -> str:
    kinds = {"0/1 columns": "switches", "lists": "lists", "joined": "joined-labels"}
    return kinds.get(facts.shape.kind, "row-per-label" if facts.per_label else "row-per-image")


def _of_shape(facts: LayoutFacts) -> dict[str, str | Note]:
    """The delimiter for the codes of joined labels; empty for other shapes."""
    if facts.shape.kind != "joined":
        return {}
    delimiter = facts.shape.delimiter or ""
    return {"delimiter": DELIMITER_NAMES.get(delimiter, repr(delimiter))}


def _recognized(facts: LayoutFacts) -> Note:
    table, shape = facts.table, facts.shape
    first, last = shape.label_columns[0], shape.label_columns[-1]
    labels: str | Note = first
    if len(shape.label_columns) > 1:
        labels = note("columns-from-to", count=len(shape.label_columns), first=first, last=last)
    if shape.split_column:
        labels = note("labels-and-sides", labels=labels, column=shape.split_column)
    return note(
        "table-recognised",
        table=table.path.name,
        form=table.form,
        said=note(_shape(facts), **_of_shape(facts)),
        column=shape.image_column,
        labels=labels,
    )


def _task(facts: LayoutFacts) -> Note:
    counts = [len(candidate.labels) for candidate in facts.candidates]
    none, multiple = counts.count(0), sum(count > 1 for count in counts)
    if facts.task == "single-label":
        return note("single-label-task", count=len(counts))
    return note("multi-label-task", count=len(counts), several=multiple, none=none)


def _columns(facts: LayoutFacts) -> list[Note]:
    table, shape, notes = facts.table, facts.shape, list[Note]()
    if shape.unused:
        notes.append(note("unused-switches", columns=tuple(shape.unused)))
    if shape.kind == "0/1 columns":
        used = {label for candidate in facts.candidates for label in candidate.labels}
        notes += [
            note("label-without-image", name=label)
            for column in shape.label_columns
            for label in tidy_labels([column])
            if label not in used
        ]
    if facts.disagreements:
        rows = _rows(len(facts.disagreements), table.unit)
        first = table.place(facts.disagreements[0])
        notes.append(note("columns-disagree", column=shape.list_column or "", rows=rows, said_place=first))
    return notes


def _class_names(facts: LayoutFacts) -> list[Note]:
    names = facts.class_names
    if names is None:
        return []
    if not names.used:
        return [note("numbers-not-named", file=names.path.name, again=names.path.name)]
    number, name = next(iter(names.by_number.items()))
    return [note("numbers-named", file=names.path.name, number=number, name=name)]


def _repeats(facts: LayoutFacts) -> list[Note]:
    if facts.per_label:
        return []
    repeated = sum(len(candidate.lines) - 1 for candidate in facts.candidates)
    return [note(f"{plural(facts.table.unit)}-repeated", count=repeated)] if repeated else []


def _left_out(facts: LayoutFacts) -> list[Note]:
    codes = {"missing": "images-missing", "conflict": "images-contradicted", "ignored": "images-without-label"}
    counts = {code: sum(row.status == status for row in facts.left_out) for status, code in codes.items()}
    total, table = facts.named, facts.table.path.name
    return [note(code, count=count, total=total, table=table) for code, count in counts.items() if count]


def _rows(count: int, unit: str) -> Note:
    return note(plural(unit), count=count)
