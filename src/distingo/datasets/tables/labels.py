"""Parse the labels of a cell, and find and merge labels that differ only in spelling."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from distingo.datasets.tables.table import Cell, MergeLabels
from distingo.datasets.walking import Layout
from distingo.messages.notes import Note, name_first, note
from distingo.records import LabelVariants, ManifestRow, VariantKind

DELIMITER_NAMES: dict[str, str | Note] = {
    "|": "'|'",
    ";": "';'",
    ",": note("commas"),
    " ": note("spaces"),
    "\t": note("tabs"),
}

_LONGEST = 100_000


def looks_listed(cell: Cell) -> bool:
    """Whether a cell is a list, or a text that is written like one."""
    if not isinstance(cell, str):
        return True
    text = cell.strip()
    return text[:1] + text[-1:] in {"[]", "()", "{}"} and len(text) > 1


def parse_list(cell: Cell) -> tuple[str, ...] | None:
    """Parse a list as JSON, as Python, as printed by numpy, or without quotes.

    Args:
        cell: For example ``['Comedy', 'Drama']``.

    Returns:
        Its items as texts, or None if it is not a list of texts or numbers.
    """
    if not isinstance(cell, str):
        return tidy_labels(cell)
    text = cell.strip()
    if not looks_listed(text) or len(text) > _LONGEST:
        return None
    if re.search(r"""['"]\s+['"]""", text) and "," not in text:
        # numpy writes no commas, and Python would concatenate adjacent strings
        return tidy_labels([first or second for first, second in re.findall(r"""'([^']*)'|"([^"]*)\"""", text)])
    items = _parse_literal(text)
    if items is None:
        inner = text[1:-1]
        return None if re.search(r"""['"\[\](){}]""", inner) else tidy_labels(inner.split(","))
    if any(isinstance(item, list | tuple | dict | set) for item in items):
        return None
    return tidy_labels([str(item) for item in items if item is not None])


def _parse_literal(text: str) -> list[object] | None:
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | tuple | set):
            return sorted(value, key=str) if isinstance(value, set) else list(value)
    return None


def split_labels_of(cell: Cell, delimiter: str | None) -> tuple[str, ...]:
    """Split a cell at a delimiter (None or empty: the cell is one label).

    Args:
        cell: A text, or a list whose items are labels already.
        delimiter: The separator of two labels; a space matches any white space.

    Returns:
        The labels, sorted and without duplicates.
    """
    if not isinstance(cell, str):
        return tidy_labels(cell)
    if not delimiter:
        return tidy_labels([cell])
    return tidy_labels(cell.split() if delimiter == " " else cell.split(delimiter))


def tidy_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Strip labels and normalize them to Unicode NFC; sorted, without duplicates or empty ones."""
    stripped = (unicodedata.normalize("NFC", label.strip()) for label in labels)
    return tuple(sorted({label for label in stripped if label}))


def recognize_delimiter(cells: Sequence[str]) -> str | None:
    """Detect the delimiter between the labels of a cell.

    A comma or a space may also be part of a name (``golf ball``). It counts as a delimiter only if splitting at it
    results in few labels for many distinct cells.

    Args:
        cells: A column.

    Returns:
        The delimiter, or None if every cell is one label.
    """
    distinct = {cell.strip() for cell in cells if cell.strip()}
    for delimiter in ("|", ";", "\t"):
        if any(delimiter in cell for cell in distinct):
            return delimiter
    comma_labels = {label for cell in distinct for label in split_labels_of(cell, ",")}
    if any("," in cell for cell in distinct) and len(comma_labels) <= len(distinct):
        return ","
    space_labels = {label for cell in distinct for label in cell.split()}
    if any(" " in cell for cell in distinct) and 2 * len(space_labels) <= len(distinct):
        return " "
    return None


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")

_SPACES = re.compile(r"[\s\u200b\u200c\u200d\u2060\ufeff\u00ad]+")

_MISSING = frozenset(
    {"na", "n/a", "#n/a", "<na>", "nan", "-nan", "none", "null", "nil", "nat", "-", "--", "?", ".", "missing"}
)
"""Spellings of missing values, in lower case."""

_MAX_SPELLINGS = 5
"""Maximum number of spellings that a note names."""


def find_variants(counts: Counter[str]) -> tuple[LabelVariants, ...]:
    """Find labels that differ only in case, spaces, Unicode form or number format, and those for missing values.

    Args:
        counts: Number of occurrences of each label.

    Returns:
        One entry per group of labels, the most frequent first; labels for missing values are one group.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        groups[_key(label)].append(label)
    variants = [_group(_kind(labels), labels, counts) for labels in groups.values() if len(labels) > 1]
    missing = [label for label in counts if is_missing(label)]
    if missing:
        variants = [each for each in variants if each.spellings[0][0] not in missing]
        variants.append(_group("missing value", missing, counts))
    return tuple(sorted(variants, key=lambda each: (-sum(count for _, count in each.spellings), each.spellings)))


def merged_labels(variants: Iterable[LabelVariants], merge: MergeLabels | None) -> dict[str, str]:
    """Map labels to the ones that replace them; a label for a missing value becomes an empty text.

    Args:
        variants: As returned by `find_variants`.
        merge: Which of them to merge; None merges none.

    Returns:
        Only labels that change. The most frequent spelling is kept.
    """
    changed: dict[str, str] = {}
    for each in variants:
        if each.kind == "missing value":
            if merge in {"missing", "all"}:
                changed |= {label: "" for label, _ in each.spellings}
        elif merge in {"spelling", "all"}:
            changed |= {label: each.spellings[0][0] for label, _ in each.spellings[1:]}
    return changed


def is_missing(label: str) -> bool:
    """Whether a label is a common spelling of a missing value."""
    return label.strip().lower() in _MISSING


def describe_variants(variants: Sequence[LabelVariants], merge: MergeLabels | None, unit: str) -> list[Note]:
    """Write a note for every group of labels.

    Args:
        variants: As returned by `find_variants`.
        merge: As for `merged_labels`.
        unit: The unit that rows are counted in: ``lines``, ``rows``, ``entries`` or ``files``.
    """
    return [_described(each, merge, unit) for each in variants]


def merge_layout(layout: Layout, merge: MergeLabels | None) -> Layout:
    """Report class folders whose names differ only in spelling, and merge them if requested.

    Args:
        layout: A layout of class folders.
        merge: As for `merged_labels`; a folder named like a missing value then gives no label.
    """
    counts = Counter(label for candidate in layout.candidates for label in candidate.labels)
    variants = find_variants(counts)
    if not variants:
        return layout
    replacements = merged_labels(variants, merge)
    remaining, dropped = [], []
    for candidate in layout.candidates:
        labels = tuple(label for old in candidate.labels if (label := replacements.get(old, old)))
        if labels or not candidate.labels:
            remaining.append(replace(candidate, labels=labels))
        else:
            reason = note("in-folder-without-label", folder=candidate.labels[0])
            row = ManifestRow(candidate.source.file, "ignored", reason, (), candidate.split, "", 0, 0, "")
            dropped.append(row)
    return replace(
        layout,
        classes=tuple(sorted({label for candidate in remaining for label in candidate.labels})),
        candidates=tuple(remaining),
        ignored=(*layout.ignored, *dropped),
        notes=(*layout.notes, *describe_variants(variants, merge, "files")),
        label_variants=variants,
    )


def _described(each: LabelVariants, merge: MergeLabels | None, unit: str) -> Note:
    spellings = [note("label-count", name=label, count=count) for label, count in each.spellings]
    labels, units = name_first(spellings, _MAX_SPELLINGS), note(f"of-{unit}")
    if each.kind == "missing value":
        if merge in {"missing", "all"}:
            return note("missing-values-dropped", labels=labels, unit=units)
        return note("missing-values-kept", labels=labels, unit=units)
    if merge in {"spelling", "all"}:
        label = each.spellings[0][0]
        return note("label-variants-merged", kind=note(_KINDS[each.kind]), label=label, labels=labels, unit=units)
    return note("label-variants", kind=note(_KINDS[each.kind]), labels=labels, unit=units)


_KINDS: dict[VariantKind, str] = {
    "case": "by-case",
    "spaces": "by-spaces",
    "Unicode form": "by-form",
    "case and spaces": "by-case-and-spaces",
    "case, spaces and Unicode form": "by-writing",
    "number format": "by-number-format",
}
"""The codes of the kinds of differences."""


def _group(kind: VariantKind, labels: Sequence[str], counts: Counter[str]) -> LabelVariants:
    ranked = sorted(labels, key=lambda label: (-counts[label], label))
    return LabelVariants(kind, tuple((label, counts[label]) for label in ranked))


def _key(label: str) -> str:
    if number := _number(label):
        return number
    text = unicodedata.normalize("NFKC", label).casefold()
    # "golf ball" may equal "golfball", but "1 0" is never "10"
    text = _SPACES.sub(" ", text).strip()
    return re.sub(r"(?<![0-9]) | (?![0-9])", "", text)


def _number(label: str) -> str:
    text = label.strip()
    if not _NUMBER.fullmatch(text) or not text.isascii():
        return ""
    value = Decimal(text)
    return f"number {int(value) if value == value.to_integral_value() else value.normalize()}"


def _kind(labels: Sequence[str]) -> VariantKind:
    """The smallest set of differences that the labels have."""
    if all(map(_number, labels)):
        return "number format"
    steps: tuple[tuple[VariantKind, tuple[bool, bool, bool]], ...] = (
        ("case", (True, False, False)),
        ("spaces", (False, True, False)),
        ("Unicode form", (False, False, True)),
        ("case and spaces", (True, True, False)),
    )
    for kind, step in steps:
        if len({_reduced(label, *step) for label in labels}) == 1:
            return kind
    return "case, spaces and Unicode form"


def _reduced(label: str, case: bool, spaces: bool, form: bool) -> str:  # noqa: FBT001 - the columns of a table
    text = unicodedata.normalize("NFKC", label) if form else label
    text = text.casefold() if case else text
    return re.sub(r"\s+", "", text) if spaces else text
