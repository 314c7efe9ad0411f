"""The corrections that a run was trained with: its copy ``corrections.csv``, and their section of ``config.json``.

A run is resumed and evaluated with its own copy, even if the data set's table has changed or was removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from distingo.datasets.corrections import NO_CORRECTIONS, Corrections, find_corrections, write_corrections
from distingo.errors import DataError
from distingo.messages.notes import Note, note
from distingo.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class CorrectionsSection:
    """The section ``corrections`` of ``config.json``.

    Attributes:
        said: The requested table, as for `distingo.datasets.corrections.find_corrections`; None if none was requested.
        file: The table that was read; None if there was none.
        changes: Number of images that are relabeled or set aside.
        fingerprint: As in `distingo.datasets.corrections.Corrections`.
    """

    said: str | None = None
    file: str | None = None
    changes: int | None = None
    fingerprint: str | None = None


def settle_corrections(said: str | Path | None) -> str | None:
    """Make the path of a requested table absolute, so that it stays valid in another working folder."""
    return None if said is None else NO_CORRECTIONS if str(said) == NO_CORRECTIONS else str(Path(said).resolve())


def keep_corrections(folder: RunFolder, corrections: Corrections | None) -> None:
    """Write the run's copy of the corrections, if these have an effect on the training data.

    Raises:
        ResourceError: The copy can't be written.
    """
    if corrections is not None and corrections.effective:
        write_corrections(replace(corrections, path=folder.corrections), recorded=True)


def kept_corrections(folder: RunFolder) -> str:
    """Return the path of the run's copy, or ``none``, for `distingo.datasets.gathering.read_dataset`."""
    return str(folder.corrections) if folder.corrections.is_file() else NO_CORRECTIONS


def describe_corrections(said: str | Path | None, corrections: Corrections | None) -> CorrectionsSection | None:
    """Create the section ``corrections`` of ``config.json``; None if no corrections were requested or found."""
    said = settle_corrections(said)
    if corrections is None:
        return None if said is None else CorrectionsSection(said)
    return CorrectionsSection(
        said, str(corrections.path.resolve()), len(corrections.effective), corrections.fingerprint
    )


def describe_change(earlier: CorrectionsSection | None, root: Path, said: str | Path | None) -> tuple[Note, ...]:
    """Compare a data set's corrections with those of an earlier run.

    Args:
        earlier: The run's section of ``config.json``; None if it had no corrections.
        root: The data set's root.
        said: As for `find_corrections`.

    Returns:
        A note if they differ; empty if the same images are relabeled and set aside.
    """
    earlier = earlier or CorrectionsSection()
    try:
        current = find_corrections(root, said)
    except DataError as error:
        return (note("corrections-unknown", error=str(error)),)
    no_corrections = Corrections(root, ())
    if (earlier.fingerprint or no_corrections.fingerprint) == (current or no_corrections).fingerprint:
        return ()
    count = len(current.effective) if current else 0
    return (note("corrections-changed", before=earlier.changes or 0, now=count),)
