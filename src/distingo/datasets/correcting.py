"""Apply a person's corrections to the data, before duplicates and label conflicts are resolved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from distingo.datasets.cache.products import Examined
from distingo.datasets.corrections import Correction, Corrections
from distingo.datasets.walking import Candidate, Layout, source_of
from distingo.errors import DataError, find_near
from distingo.messages.notes import Note, note
from distingo.records import ManifestRow

_MAX_NAMED = 5
"""How many corrections a note names before it counts the rest."""


@dataclass(slots=True)
class _Applied:
    """Which corrections had which effect."""

    relabeled: list[Correction] = field(default_factory=list)
    quarantined: list[Correction] = field(default_factory=list)
    changed: list[Correction] = field(default_factory=list)


def with_relabeled(layout: Layout, corrections: Corrections | None) -> Layout:
    """Add the files that were no candidates for lack of a clear label, and that corrections give one.

    These are images that two rows of a table label differently, and files outside the class folders.
    """
    if corrections is None:
        return layout
    relabeling = {entry.file: entry for entry in corrections.entries if entry.action == "relabel"}
    promoted = [
        Candidate(source, relabeling[row.file].labels, row.split, row.lines)
        for row in layout.ignored
        if row.file in relabeling and (source := source_of(layout.root, row.file)).path.is_file()
    ]
    if not promoted:
        return layout
    candidates = sorted([*layout.candidates, *promoted], key=lambda candidate: candidate.source.file)
    return replace(layout, candidates=tuple(candidates))


def correct(
    layout: Layout, examined: Sequence[Examined], corrections: Corrections | None
) -> tuple[Layout, list[Examined]]:
    """Apply corrections to the examined candidates.

    Args:
        layout: As returned by `with_relabeled`; its ignored files still include those that were added.
        examined: The layout's candidates, in the same order.
        corrections: What a person decided; None changes nothing.

    Returns:
        The layout, with quarantined files among the ignored ones and its classes and notes updated; and the remaining
        candidates, with their labels.

    Raises:
        DataError: A correction gives an image of a single-label task no label or several, or fewer than two classes
            remain.
    """
    if corrections is None:
        return layout, list(examined)
    applied, by_file = _Applied(), corrections.by_file
    ignored_before = {row.file: row for row in layout.ignored}
    remaining: list[Examined] = []
    quarantined: list[ManifestRow] = []
    for entry in examined:
        correction = by_file.get(entry.candidate.source.file)
        if correction is None or correction.action == "keep":
            remaining.append(entry)
        elif correction.content and correction.content != entry.content:
            applied.changed.append(correction)
            remaining += [] if entry.candidate.source.file in ignored_before else [entry]
        elif correction.action == "quarantine":
            applied.quarantined.append(correction)
            quarantined.append(_quarantined_row(entry, correction, corrections))
        else:
            _check_labels(layout, correction, corrections)
            remaining.append(
                _relabeled(entry, correction, applied, was_candidate=correction.file not in ignored_before)
            )
    remaining_files = {entry.candidate.source.file for entry in remaining}
    ignored = [row for row in layout.ignored if row.file not in remaining_files]
    classes = tuple(sorted({label for entry in remaining for label in entry.candidate.labels}))
    _check_classes(layout, classes, corrections)
    notes = (*layout.notes, *_notes(layout, remaining, classes, corrections, applied))
    return replace(layout, classes=classes, ignored=(*ignored, *quarantined), notes=notes), remaining


def describe_sole_corrections(label: str, files: Sequence[str], corrections: Corrections | None) -> str:
    """Describe the corrections that alone give a class its images; empty if it has other images too.

    Args:
        label: The class.
        files: Every file that has this class.
        corrections: What a person decided.
    """
    if corrections is None:
        return ""
    entries = [entry for file in files if (entry := corrections.by_file.get(file)) and label in entry.labels]
    if len(entries) < len(files):
        return ""
    listing = "; ".join(map(str, _name_some(entries)))
    return f"only {corrections.path} gives it ({listing}); take that back there"


def _relabeled(entry: Examined, correction: Correction, applied: _Applied, *, was_candidate: bool) -> Examined:
    if was_candidate and entry.candidate.labels == correction.labels:
        return entry
    applied.relabeled.append(correction)
    return replace(entry, candidate=replace(entry.candidate, labels=correction.labels))


def _quarantined_row(entry: Examined, correction: Correction, corrections: Corrections) -> ManifestRow:
    candidate, facts = entry.candidate, entry.facts
    reason = note("set-aside", line=correction.line, file=corrections.path.name)
    if correction.kinds:
        reason = Note("set-aside-for", {**reason.values, "kinds": tuple(correction.kinds)})
    return ManifestRow(
        candidate.source.file,
        "ignored",
        reason,
        candidate.labels,
        candidate.split,
        facts.format,
        facts.width,
        facts.height,
        entry.content,
        lines=candidate.lines,
    )


def _check_labels(layout: Layout, correction: Correction, corrections: Corrections) -> None:
    count = len(correction.labels)
    if layout.task == "single-label" and count != 1:
        labels = ", ".join(correction.labels) or "none"
        raise DataError(
            f"{corrections.path}: line {correction.line}: {correction.file} is given {count} labels ({labels}), and "
            f"each picture of {layout.root} has exactly one; name one",
            code="task_differs",
            parameter="corrections",
        )


def _check_classes(layout: Layout, classes: Sequence[str], corrections: Corrections) -> None:
    min_classes = 2 if layout.task == "single-label" else 1
    if len(classes) < min_classes:
        remaining = f"one class only ({classes[0]})" if classes else "no class"
        raise DataError(
            f"{corrections.path}: leaves {remaining} of {layout.root}; a classifier needs at least {min_classes}",
            code="too_few_classes",
            parameter="corrections",
        )


def _notes(
    layout: Layout,
    remaining: Sequence[Examined],
    classes: Sequence[str],
    corrections: Corrections,
    applied: _Applied,
) -> list[Note]:
    name = corrections.path.name
    kept_count = sum(entry.action == "keep" for entry in corrections.entries)
    summary = note(
        "corrections-applied",
        file=name,
        count=len(applied.relabeled),
        aside=len(applied.quarantined),
    )
    notes = [Note("corrections-applied-and-kept", {**summary.values, "kept": kept_count}) if kept_count else summary]
    if applied.changed:
        changed = applied.changed
        notes.append(note("corrections-outdated", file=name, count=len(changed), which=_name_some(changed)))
    present = {row.file for row in layout.ignored if row.status != "missing"}
    present |= {candidate.source.file for candidate in layout.candidates}
    if absent := [entry for entry in corrections.entries if entry.file not in present]:
        root, listing = str(layout.root), _name_some(absent)
        notes.append(note("corrections-without-file", file=name, count=len(absent), root=root, which=listing))
    counts = Counter(label for entry in remaining for label in entry.candidate.labels)
    for label in classes:
        if label not in layout.classes:
            added = note("class-of-corrections", file=name, name=label, count=counts[label])
            near = find_near(label, list(layout.classes), limit=1)
            notes.append(Note("class-of-corrections-like", {**added.values, "near": near[0]}) if near else added)
    notes += [note("class-without-image", file=name, name=label) for label in layout.classes if label not in classes]
    return notes


def _name_some(entries: Sequence[Correction]) -> tuple[Note, ...]:
    """Name the first few entries with their lines, and how many more there are."""
    first_entries = [note("correction", line=entry.line, file=entry.file) for entry in entries[:_MAX_NAMED]]
    return (*first_entries, *([note("and-more", count=len(entries) - _MAX_NAMED)] if len(entries) > _MAX_NAMED else []))
