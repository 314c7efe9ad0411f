"""The corrections that a run was trained under, kept in its folder so that it can be gone on with and judged alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from distingo.datasets.corrections import NO_CORRECTIONS, Corrections, find_corrections, write_corrections
from distingo.errors import DataError
from distingo.run_folder import RunFolder


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


def corrections_to_config(said: str | Path | None, corrections: Corrections | None) -> dict[str, Any]:
    """The section ``corrections`` of ``config.json``; empty where none were said or found."""
    section: dict[str, Any] = {}
    if said is not None:
        section["said"] = settle_corrections(said)
    if corrections is not None:
        section["file"] = str(corrections.path.resolve())
        section["changes"] = len(corrections.effective)
        section["fingerprint"] = corrections.fingerprint
    return section


def said_in_config(config: dict[str, Any]) -> str | None:
    """What an older run was told about corrections."""
    section = config.get("corrections")
    return section.get("said") if isinstance(section, dict) else None


def describe_change(config: dict[str, Any], root: Path, said: str | Path | None) -> tuple[str, ...]:
    """Say whether the corrections of a data set are other ones now than when a run read them.

    Args:
        config: The run's ``config.json``.
        root: The data set's root.
        said: As for `find_corrections`.

    Returns:
        A sentence, or none where the same pictures are relabelled and set aside.
    """
    section = config.get("corrections") or {}
    try:
        now = find_corrections(root, said)
    except DataError as error:
        return (f"the corrections can't be compared with those of the earlier run ({error})",)
    before = section.get("fingerprint", Corrections(root, ()).fingerprint)
    if before == (now or Corrections(root, ())).fingerprint:
        return ()
    count = len(now.effective) if now else 0
    return (f"the corrections have changed since the earlier run: {section.get('changes', 0)} then, {count} now",)
