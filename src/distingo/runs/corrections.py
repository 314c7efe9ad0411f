"""The corrections that a run was trained under: its copy ``corrections.csv``, and their section of ``config.json``.

The run is resumed and evaluated under its copy, whatever became of the data set's own table.
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
        said: As for `distingo.datasets.corrections.find_corrections`; None where nothing was requested.
        file: The table that was read; None where there was none.
        changes: How many images are relabeled or set aside.
        fingerprint: As in `distingo.datasets.corrections.Corrections`.
    """

    said: str | None = None
    file: str | None = None
    changes: int | None = None
    fingerprint: str | None = None


def settle_corrections(said: str | Path | None) -> str | None:
    """Make a table that was named absolute: the working folder is another one tomorrow."""
    return None if said is None else NO_CORRECTIONS if str(said) == NO_CORRECTIONS else str(Path(said).resolve())


def keep_corrections(folder: RunFolder, corrections: Corrections | None) -> None:
    """Write the run's own copy, where corrections change what is trained on.

    Raises:
        ResourceError: It can't be written.
    """
    if corrections is not None and corrections.effective:
        write_corrections(replace(corrections, path=folder.corrections), recorded=True)


def kept_corrections(folder: RunFolder) -> str:
    """What `distingo.datasets.gathering.read_dataset` takes to read the data as the run did."""
    return str(folder.corrections) if folder.corrections.is_file() else NO_CORRECTIONS


def describe_corrections(said: str | Path | None, corrections: Corrections | None) -> CorrectionsSection | None:
    """The section ``corrections`` of ``config.json``; None where none were requested or found."""
    said = settle_corrections(said)
    if corrections is None:
        return None if said is None else CorrectionsSection(said)
    return CorrectionsSection(
        said, str(corrections.path.resolve()), len(corrections.effective), corrections.fingerprint
    )


def describe_change(earlier: CorrectionsSection | None, root: Path, said: str | Path | None) -> tuple[Note, ...]:
    """Note whether the corrections of a data set are other ones now than when a run read them.

    Args:
        earlier: What the run wrote down; None where it had none.
        root: The data set's root.
        said: As for `find_corrections`.

    Returns:
        A note, or none where the same images are relabeled and set aside.
    """
    earlier = earlier or CorrectionsSection()
    try:
        now = find_corrections(root, said)
    except DataError as error:
        return (note("corrections-unknown", error=str(error)),)
    none = Corrections(root, ())
    if (earlier.fingerprint or none.fingerprint) == (now or none).fingerprint:
        return ()
    count = len(now.effective) if now else 0
    return (note("corrections-changed", before=earlier.changes or 0, now=count),)
