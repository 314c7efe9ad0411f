"""Export of the corrections sent from the web page as a data set for `distingo train`."""

from __future__ import annotations

import json
import shutil
import tempfile
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from distingo.csv_files import write_table
from distingo.datasets.corrections import PROVENANCE_COLUMNS, PROVENANCE_NAME
from distingo.datasets.decoding.formats import ENDINGS
from distingo.datasets.walking import is_hidden_folder
from distingo.errors import DataError, ResourceError, UsageError, option, suggest_names
from distingo.files import write_bytes
from distingo.messages.notes import Note, note
from distingo.progress import progress_bar
from distingo.records import Task
from distingo.safe_paths import safe_name
from distingo.serving.corrections import CorrectionStore, StoredCorrection

LABELS_NAME = "labels.csv"
_IMAGES_FOLDER = "images"


@dataclass(frozen=True, slots=True)
class CorrectedData:
    """A data set made of corrections.

    Attributes:
        folder: The data set's folder.
        model: The name of the model that was corrected.
        task: Single-label or multi-label.
        images: Number of images.
        classes: Number of images of each class, the largest class first.
        unlabeled: Number of images without any label; always 0 if single-label.
        superseded: Number of earlier corrections of the same images that are left out.
        notes: What to consider before training on it.
    """

    folder: Path
    model: str
    task: Task
    images: int
    classes: dict[str, int]
    unlabeled: int
    superseded: int
    notes: tuple[Note, ...] = ()


def export_store(path: Path, folder: Path, model: str | None = None) -> CorrectedData:
    """Write the latest correction of every image as a data set; on an error nothing is written.

    A single-label data set gets class folders. A multi-label one, or one with a class whose name can't be a folder
    name, gets ``labels.csv`` next to the images. ``provenance.csv`` lists each image's model, its prediction and the
    time of the correction.

    Args:
        path: The file in which `distingo serve` stores corrections; it is only read.
        folder: A new or empty folder.
        model: The model whose corrections are exported; may be None if the file contains those of one model only.

    Raises:
        DataError: The file is missing, damaged, of another format, or contains no corrections.
        UsageError: There is no such model, or the file contains several models and none is named.
        ResourceError: The folder is not empty or can't be written.
    """
    store = CorrectionStore(path, create=False)
    model = _choose_model(store, model)
    corrections = store.latest(model)
    task: Task = "multi-label" if any(each.task == "multi-label" for each in corrections) else "single-label"
    _require_free(folder)
    by_folder = task == "single-label" and _fit_for_folders({each.labels[0] for each in corrections})
    rows = [(_file_of(each, by_folder=by_folder), each) for each in corrections]
    _write_at_once(store, folder, rows, task, by_folder=by_folder)
    classes = Counter(label for each in corrections for label in each.labels)
    notes = _describe(classes, task, by_folder=by_folder)
    earlier = sum(each.times - 1 for each in corrections)
    unlabeled = sum(not each.labels for each in corrections)
    return CorrectedData(folder, model, task, len(corrections), dict(classes.most_common()), unlabeled, earlier, notes)


def _choose_model(store: CorrectionStore, requested: str | None) -> str:
    models = store.models()
    if not models:
        raise DataError(
            f"{store.path}: holds no correction yet; they come from the page of `distingo serve`", code="empty_file"
        )
    if requested is None and len(models) > 1:
        models_listed = ", ".join(f"{name} ({count:,})" for name, count in models.items())
        raise UsageError(
            f"{store.path}: holds corrections of several models, {models_listed}; choose one by {option('model')} NAME",
            code="ambiguous_name",
            parameter="model",
        )
    if requested is not None and requested not in models:
        nearest = suggest_names(requested, list(models))
        raise UsageError(
            f"{option('model')} {requested}: no correction is for such a model; {nearest}",
            code="unknown_name",
            parameter="model",
        )
    return requested or next(iter(models))


def _require_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ResourceError(
            f"{folder}: exists already and is not empty; name a new folder", code="not_empty", parameter="output"
        )


def _fit_for_folders(labels: set[str]) -> bool:
    """Whether every class name works as a folder name, also on case-insensitive file systems."""
    folders = {unicodedata.normalize("NFC", label).casefold() for label in labels}
    return len(folders) == len(labels) and not any(
        safe_name(label) != label or is_hidden_folder(label) for label in labels
    )


def _file_of(correction: StoredCorrection, *, by_folder: bool) -> str:
    ending = ENDINGS.get(correction.format, ("",))[0]
    return f"{correction.labels[0] if by_folder else _IMAGES_FOLDER}/{correction.sha256[:16]}{ending}"


def _write_at_once(
    store: CorrectionStore, folder: Path, rows: list[tuple[str, StoredCorrection]], task: Task, *, by_folder: bool
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise ResourceError(
            f"{folder}: can't be made ({error.strerror}); choose another place", code="cannot_write", parameter="output"
        ) from error
    try:
        with progress_bar("exporting", len(rows)) as advance:
            for file, correction in rows:
                write_bytes(unfinished / file, store.image(correction.sha256))
                advance()
        if not by_folder:
            write_table(
                unfinished / LABELS_NAME, ("file", "label" + "s" * (task == "multi-label")), _labels(rows, task)
            )
        write_table(unfinished / PROVENANCE_NAME, PROVENANCE_COLUMNS, map(_provenance, rows))
        unfinished.chmod(0o755)
        unfinished.replace(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _labels(rows: list[tuple[str, StoredCorrection]], task: Task) -> list[tuple[str, str]]:
    """Files and their labels; multiple labels are a JSON list, so that no character of a name acts as a delimiter."""
    if task == "single-label":
        return [(file, correction.labels[0]) for file, correction in rows]
    return [(file, json.dumps(correction.labels, ensure_ascii=False)) for file, correction in rows]


def _provenance(row: tuple[str, StoredCorrection]) -> tuple[object, ...]:
    file, correction = row
    labels, prediction = (json.dumps(value, ensure_ascii=False) for value in (correction.labels, correction.predicted))
    return (
        file,
        correction.sha256,
        labels,
        prediction,
        correction.model,
        correction.version,
        correction.at,
        correction.times,
    )


def _describe(classes: Counter[str], task: Task, *, by_folder: bool) -> tuple[Note, ...]:
    notes: list[Note] = []
    if len(classes) < 2 and task == "single-label":
        notes.append(note("corrections-of-one-class"))
    if task == "single-label" and not by_folder:
        notes.append(note("class-names-not-for-folders", file=LABELS_NAME))
    if task == "single-label" and not by_folder and any("|" in name or ";" in name or "\t" in name for name in classes):
        notes.append(note("delimiter-in-class-name"))
    return tuple(notes)
