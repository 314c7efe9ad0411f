"""What a folder holds before any picture is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from distingo.datasets.walking import FoundFile, display_name
from distingo.records import LabelVariants, ManifestRow, Side, Source, Task

SIDE_NAMES: dict[str, Side] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""The names of folders that are sides of a split, in lower case."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file (or an entry of an IDX file) that may be a picture.

    Attributes:
        source: Where it is.
        labels: The classes it was found under.
        side: The side its author put it on, or None.
        lines: The lines of a table that name it.
    """

    source: Source
    labels: tuple[str, ...]
    side: Side | None
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds before any picture is decoded.

    Attributes:
        name: In words: ``class folders``, ``split folders``, ``IDX files`` or ``train.csv, one 0/1 column per label``.
        classes: All class names, sorted.
        candidates: In order of their names.
        ignored: One row per file that is no candidate, and per picture of a table that can't be one.
        root: The folder that the names of files are relative to.
        task: Whether a picture carries exactly one label or any number.
        notes: What was recognised and what a person should know about it.
        groups: As in `Dataset.groups`.
        label_variants: As in `Dataset.label_variants`.
    """

    name: str
    classes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    ignored: tuple[ManifestRow, ...]
    root: Path
    task: Task = "single-label"
    notes: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    label_variants: tuple[LabelVariants, ...] = ()


def ignored_row(file: FoundFile, why: str, side: Side | None = None) -> ManifestRow:
    """Account for a file that is no candidate."""
    return ManifestRow(display_name(file.parts), "ignored", why, (), side, "", 0, 0, "")
