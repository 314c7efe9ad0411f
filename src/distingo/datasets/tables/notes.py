"""What was recognised in a table, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distingo.datasets.tables.columns import Shape
from distingo.datasets.tables.labels import DELIMITER_NAMES, describe_variants, tidy_labels
from distingo.datasets.tables.matching import Matches, Rerooting, folder_name
from distingo.datasets.tables.rows import ClassNames
from distingo.datasets.tables.table import MergeLabels, Table
from distingo.datasets.walking import Candidate, display_name
from distingo.records import LabelVariants, ManifestRow, Task


@dataclass(frozen=True, slots=True)
class LayoutFacts:
    """What there is to say about a table's layout.

    Attributes:
        table: As read.
        shape: As recognised.
        task: As decided.
        per_label: Whether there is one row per picture and label.
        candidates: The pictures.
        left_out: What the table names and can't be used.
        named: How many different pictures the table names.
        disagreements: Lines where the 0/1 columns and the text beside them differ.
        matches: What the names of images led to.
        class_names: The names of numbered classes; None where there are none.
        variants: Labels that differ only in how they are written.
        merge: Which of these were merged.
        may_name_folder: Whether --image-folder may be given, and was not.
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


def describe_layout(facts: LayoutFacts) -> tuple[str, tuple[str, ...]]:
    """Put a layout into words.

    Args:
        facts: What there is to say.

    Returns:
        Its name, and notes for a person: what was recognised first, then what is remarkable.
    """
    labels = (*_class_names(facts), *describe_variants(facts.variants, facts.merge, plural(facts.table.unit)))
    noticed = (*_columns(facts), *labels, *_paths(facts.matches), *_strays(facts), *_repeats(facts), *_left_out(facts))
    notes = [_recognised(facts), _task(facts), *noticed]
    return f"{facts.table.path.name}, {_shape_name(facts)}", tuple(notes)


def plural(unit: str) -> str:
    """What the lines of a table are, in the plural."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def why_missing(matches: Matches) -> str:
    """What may help where images are missing, in words; empty where nothing is known."""
    moved = matches.rerooting
    if moved is not None and not moved.certain:
        return _in_doubt(moved)
    if matches.web_addresses:
        return "addresses on the web are fetched by `distingo download`"
    if matches.lost_zeros:
        name, file = matches.lost_zeros[0]
        return (
            f"{name!r} is not there, but {display_name(file.parts)} is: the numbers lost the zeros before them; write "
            f"them as text"
        )
    return ""


def _in_doubt(moved: Rerooting) -> str:
    under = f"paths under {moved.prefix}" if moved.prefix else "its relative paths"
    if not moved.rivals:
        return (
            f"read under {folder_name(moved.folder)}, {moved.found:,} of {moved.named:,} {under} would be there; if "
            f"that is their folder, give --image-folder {folder_name(moved.folder)}"
        )
    first, *others = [(moved.folder, moved.found), *moved.rivals][:3]
    folders = " or ".join(f"{folder_name(folder)} ({count:,} are there)" for folder, count in (first, *others))
    return f"{under} may be those in {folders}; name the right folder by --image-folder"


def _paths(matches: Matches) -> list[str]:
    """How names were read where they do not stand for themselves."""
    notes = []
    moved, narrowed = matches.rerooting, matches.narrowing
    if moved is not None and moved.certain:
        under = f"paths under {moved.prefix}" if moved.prefix else "relative paths"
        notes.append(
            f"{under} were read under {folder_name(moved.folder)}: {moved.found:,} of {moved.named:,} are there"
        )
    elif moved is not None:
        notes.append(_in_doubt(moved))
    if narrowed is not None:
        notes.append(
            f"names without folders were looked up in {folder_name(narrowed.folder)} only: {narrowed.found:,} of "
            f"{narrowed.named:,} are there, and other folders have {narrowed.elsewhere:,} files of these names too"
        )
    for names, how in (
        (matches.any_case, "only with other upper and lower case"),
        (matches.decoded, "only without their percent signs, quotes or slashes"),
    ):
        if names:
            (file,) = matches.files(names[0])
            notes.append(f"{len(names):,} names fit {how} (first: {names[0]!r} is read as {display_name(file.parts)})")
    if matches.lost_zeros and not (moved is not None and not moved.certain):
        notes.append(f"{len(matches.lost_zeros):,} numbers name no file: {why_missing(matches)}")
    return notes


def _strays(facts: LayoutFacts) -> list[str]:
    """Bare names that are in other folders only, and the option that takes them."""
    strays = facts.matches.strays
    if not strays.files:
        return []
    name, file = next(iter(strays.files.items()))
    shared = strays.shared_folder
    take = f"--image-folder {display_name(shared) if shared else '.'} takes them"
    if not facts.may_name_folder or shared == strays.folder:
        take = "write their folders in the table to take them"
    return [
        f"{len(strays.files):,} names without folders count as missing, as nearly all others are in "
        f"{folder_name(strays.folder)} and these are in other folders only (first: {name!r} is "
        f"{display_name(file.parts)}); {take}"
    ]


def _shape_name(facts: LayoutFacts) -> str:
    shape = facts.shape
    if shape.kind == "0/1 columns":
        return "one 0/1 column per label"
    if shape.kind == "lists":
        return "a list of labels per row"
    if shape.kind == "joined":
        delimiter = shape.delimiter or ""
        return f"labels joined by {DELIMITER_NAMES.get(delimiter, repr(delimiter))}"
    return "one row per picture and label" if facts.per_label else "one label per row"


def _recognised(facts: LayoutFacts) -> str:
    table, shape = facts.table, facts.shape
    columns = shape.label_columns
    labels = (
        f"{columns[0]!r}" if len(columns) == 1 else f"{len(columns)} columns from {columns[0]!r} to {columns[-1]!r}"
    )
    sides = f", sides from {shape.side_column!r}" if shape.side_column else ""
    return (
        f"{table.path.name} was read as {table.form}; {_shape_name(facts)}: "
        f"pictures from column {shape.image_column!r}, labels from {labels}{sides}"
    )


def _task(facts: LayoutFacts) -> str:
    counts = [len(candidate.labels) for candidate in facts.candidates]
    none, several = counts.count(0), sum(count > 1 for count in counts)
    if facts.task == "single-label":
        return f"the task is single-label: each of {len(counts):,} pictures has one label"
    return (
        f"the task is multi-label: of {len(counts):,} pictures {several:,} have several labels and {none:,} have none"
    )


def _columns(facts: LayoutFacts) -> list[str]:
    table, shape, notes = facts.table, facts.shape, []
    if shape.unused:
        names = ", ".join(shape.unused)
        notes.append(f"the 0/1 columns {names} are not read as labels; --label-columns would do so")
    if shape.kind == "0/1 columns":
        had = {label for candidate in facts.candidates for label in candidate.labels}
        notes += [
            f"label {label} is dropped: no picture has it"
            for column in shape.label_columns
            for label in tidy_labels([column])
            if label not in had
        ]
    if facts.disagreements:
        count, first = len(facts.disagreements), table.place(facts.disagreements[0])
        notes.append(
            f"{shape.list_column!r} and the 0/1 columns disagree in {_counted(count, table.unit)} (first: {first}); "
            f"the 0/1 columns count"
        )
    return notes


def _class_names(facts: LayoutFacts) -> list[str]:
    names = facts.class_names
    if names is None:
        return []
    if not names.used:
        return [
            f"labels stay numbers: {names.path.name} has more names than there are numbers; --class-names "
            f"{names.path.name} takes its first name for 0"
        ]
    number, name = next(iter(names.by_number.items()))
    return [f"the numbers of classes are named by {names.path.name}: {number} is {name!r}"]


def _repeats(facts: LayoutFacts) -> list[str]:
    if facts.per_label:
        return []
    repeated = sum(len(candidate.lines) - 1 for candidate in facts.candidates)
    return [f"{_counted(repeated, facts.table.unit)} repeat an earlier one and agree with it"] if repeated else []


def _left_out(facts: LayoutFacts) -> list[str]:
    words = {
        "missing": "missing",
        "conflict": "left out: contradicting rows, or a name that fits several files",
        "ignored": "left out: no label that can be told",
    }
    counts = {status: sum(row.status == status for row in facts.left_out) for status in words}
    return [
        f"{count:,} of {facts.named:,} pictures that {facts.table.path.name} names are {words[status]}"
        for status, count in counts.items()
        if count
    ]


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit if count == 1 else plural(unit)}"
