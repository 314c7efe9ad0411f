"""Recognize the files that distingo itself writes next to a person's images, such as corrections and downloads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from distingo.datasets.corrections import CORRECTIONS_NAME, is_label_table
from distingo.datasets.walking import FoundFile
from distingo.errors import DataError
from distingo.messages.notes import Note, note
from distingo.records import HOLDS_CORRECTIONS, HOLDS_PROVENANCE, KEPT_BY_DOWNLOAD, LABELS_OF_DOWNLOAD

DOWNLOAD_FOLDER = ".distingo-download"
"""Folder for what only downloading needs, inside the download's folder; hidden, so that it is never a class."""

FINISHED_NAME = "finished"
"""A file in `DOWNLOAD_FOLDER` that exists once the download is complete."""

MANIFEST_NAME = "manifest.csv"
LICENSE_NAME = "LICENCE-AND-CITATION.txt"
METADATA_NAME = "metadata.csv"
BOXES_NAME = "boxes.csv"

PROVENANCE_NAME = "provenance.csv"
PROVENANCE_COLUMNS = ("file", "sha256", "labels", "predicted", "model", "version", "at", "times")
"""The table that `distingo corrections export` writes next to the images that people corrected."""

_BESIDE = frozenset({MANIFEST_NAME, LICENSE_NAME, BOXES_NAME})


def mark_own_files(files: Iterable[FoundFile]) -> list[FoundFile]:
    """Mark distingo's own files as ignored, with the reason, so that they are neither data nor counted."""
    return [replace(file, ignored=note(why)) if (why := _why_own(file)) else file for file in files]


def _why_own(file: FoundFile) -> str:
    if DOWNLOAD_FOLDER in file.parts[:-1]:
        return KEPT_BY_DOWNLOAD
    if file.ignored:
        return ""
    if file.parts[-1] in _BESIDE and is_download(file.path.parent):
        return KEPT_BY_DOWNLOAD
    if file.parts == (PROVENANCE_NAME,) and is_provenance(file.path):
        return HOLDS_PROVENANCE
    return HOLDS_CORRECTIONS if file.parts == (CORRECTIONS_NAME,) and not is_label_table(file.path) else ""


def is_provenance(path: Path) -> bool:
    """Whether a file has the header of a provenance table; a person's own table may have the same name."""
    try:
        with path.open("rb") as file:
            return file.readline(200).rstrip() == ",".join(PROVENANCE_COLUMNS).encode()
    except OSError:
        return False


def is_download(folder: Path) -> bool:
    """Whether a folder is the target of a download, finished or not."""
    return os.path.isdir(folder / DOWNLOAD_FOLDER)  # noqa: PTH112 - unlike Path.is_dir, False without permission


def describe_labels_table(table: Path) -> Note:
    """Describe a table of labels for the manifest; the one that a download wrote is distingo's own."""
    return note(LABELS_OF_DOWNLOAD if table.name == METADATA_NAME and is_download(table.parent) else "holds-labels")


def require_finished(folder: Path) -> None:
    """Refuse a folder whose download has not finished.

    Raises:
        DataError: The download is incomplete.
    """
    if is_download(folder) and not (folder / DOWNLOAD_FOLDER / FINISHED_NAME).is_file():
        raise DataError(
            f"{folder}: a download that has not finished; run the same `distingo download` again", code="unfinished"
        )
