"""The files of a run folder as frozen records; what a run has not written yet is None or empty."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from distingo.datasets.decoding.value_ranges import value_ranges_from_config
from distingo.datasets.manifest import read_manifest, read_side, read_table, split_labels
from distingo.datasets.tables.table import FILE_ENDINGS
from distingo.errors import RunError
from distingo.evaluation.tables import read_evaluation
from distingo.files import read_json, require_intact
from distingo.messages.notes import Note, read_notes
from distingo.near_duplicates.records import NearDuplicateCounts, read_counts
from distingo.records import Evaluation, ManifestRow, Side, ValueRanges
from distingo.run_folder import check_format
from distingo.stored_fields import check_config

DATA_FILE = "data.json"
"""Beside an evaluation on other pictures: where they are."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One line of ``split.csv``: a picture, its side and its classes."""

    file: str
    side: Side
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of ``history.csv``; a value that was not measured or is not a number is None.

    With several labels per picture the mean average precision (macro) stands in place of the accuracy.
    """

    number: int
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    images_per_second: float | None
    seconds: float | None
    train_mean_average_precision: float | None = None
    validation_mean_average_precision: float | None = None


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One line of ``predictions.parquet``, without the probabilities of the classes that were not chosen."""

    file: str
    truth: str
    predicted: str
    confidence: float


@dataclass(frozen=True, slots=True)
class RunRecords:
    """Everything that a run folder tells a page.

    Attributes:
        folder: The run folder, or the folder in it of an evaluation on other pictures.
        config: The content of ``config.json``.
        manifest: One row per file found.
        split: One row per picture used.
        history: One entry per epoch; empty for a model that has none.
        evaluation: The scores, or None before ``distingo evaluate``.
        predictions: One row per test picture; empty before ``distingo evaluate``, and with several labels per
            picture (`distingo.report.examples` reads those).
        summary: The model's layer table, or empty.
        near_duplicates: What was searched for near-duplicates and found when the run divided its pictures; None for a
            run of an older version, and for an evaluation on other pictures.
    """

    folder: Path
    config: dict[str, Any]
    manifest: tuple[ManifestRow, ...]
    split: tuple[SplitRow, ...]
    history: tuple[Epoch, ...]
    evaluation: Evaluation | None
    predictions: tuple[PredictionRow, ...]
    summary: str
    near_duplicates: NearDuplicateCounts | None = None

    @property
    def data(self) -> Path:
        """What the pictures were read from: a folder, or a table of labels."""
        return Path(str(self.config.get("data", "")))

    @property
    def root(self) -> Path:
        """The folder that the names of files are relative to; a table's is its own unless the run says another."""
        if "root" in self.config:
            return Path(str(self.config["root"]))
        return self.data.parent if self._is_table else self.data

    @property
    def value_ranges(self) -> ValueRanges:
        """What the stored values of deep images are scaled by."""
        return value_ranges_from_config(self.config, self.folder) or ValueRanges()

    @property
    def data_name(self) -> str:
        """The folder's name; a table's with its folder's before it."""
        return "/".join(self.data.parts[-2:]) if self._is_table else self.data.name or "data"

    @property
    def _is_table(self) -> bool:
        return self.data.suffix.lower() in FILE_ENDINGS and not self.data.is_dir()

    @property
    def task(self) -> str:
        """``single-label`` or ``multi-label``."""
        return str(self.config.get("task", "single-label"))

    @property
    def classes(self) -> tuple[str, ...]:
        """All class names."""
        return tuple(str(name) for name in self.config.get("classes", ()))

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe as it was written, by name of the setting."""
        return _section(self.config, "recipe")

    @property
    def environment(self) -> dict[str, Any]:
        """What the run ran on, by name."""
        return _section(self.config, "environment")

    @property
    def choices(self) -> tuple[Note, ...]:
        """What distingo chose by itself, and why."""
        return read_notes(self.config.get("choices", ()))

    @property
    def layout(self) -> Note:
        """How the data was laid out."""
        return Note.from_json(self.config.get("layout", ""))

    @property
    def model(self) -> str:
        """The model's name; of one from a folder or a hub's repository the last part."""
        return str(self.recipe.get("model", "model")).rstrip("/").rpartition("/")[2]


def read_run(folder: Path) -> RunRecords:
    """Read all that a run folder holds so far.

    Args:
        folder: The run folder.

    Returns:
        The records; files that a later command writes may be absent.

    Raises:
        RunError: The folder is no run, a file is damaged, or a newer version wrote it.
    """
    path = folder / "config.json"
    config = read_json(path)
    if not isinstance(config, dict):
        raise RunError(f"{path}: damaged: expected an object, found a {type(config).__name__}", code="damaged_file")
    check_format(config, path)
    check_config(config, path, required=())
    summary = folder / "model" / "summary.txt"
    if summary.exists():
        require_intact(summary)
    return RunRecords(
        folder=folder,
        config=config,
        history=_read_history(folder / "history.csv"),
        summary=summary.read_text(encoding="utf-8", errors="replace") if summary.exists() else "",
        near_duplicates=read_counts(folder / "near_duplicates.json"),
        **_read_judged(folder, config),
    )


def read_other_evaluation(run: Path, place: Path) -> RunRecords:
    """Read an evaluation on other pictures than the run's own.

    Args:
        run: The run folder.
        place: The folder in it that `distingo.evaluation.evaluating.evaluate_run` wrote to.

    Returns:
        The run's records with those pictures in the place of its own, and without its history.

    Raises:
        RunError: As `read_run`.
    """
    records = read_run(run)
    beside = read_json(place / DATA_FILE)
    if not isinstance(beside, dict):
        raise RunError(
            f"{place / DATA_FILE}: damaged (no JSON object); evaluate on that data again", code="damaged_file"
        )
    config = {**records.config, **beside}
    check_config(config, place / DATA_FILE, required=())
    return replace(
        records, folder=place, config=config, history=(), near_duplicates=None, **_read_judged(place, config)
    )


def _read_judged(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The files that an evaluation on other pictures has too."""
    manifest = folder / "manifest.csv"
    several = config.get("task") == "multi-label"
    return {
        "manifest": read_manifest(manifest) if manifest.exists() else (),
        "split": _read_split(folder / "split.csv"),
        "evaluation": _read_evaluation(folder / "evaluation.json"),
        "predictions": () if several else read_predictions(folder / "predictions.parquet"),
    }


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return cast(dict[str, Any], section) if isinstance(section, dict) else {}


def _read_split(path: Path) -> tuple[SplitRow, ...]:
    if not path.exists():
        return ()
    return tuple(
        SplitRow(row["file"], read_side(row["side"], path, line), split_labels(row["labels"]))
        for line, row in read_table(path, ("file", "side", "labels"))
    )


def _read_history(path: Path) -> tuple[Epoch, ...]:
    if not path.exists():
        return ()
    epochs = []
    for line, row in read_table(path, ("epoch",)):
        try:
            numbers = {name: _finite(row.get(name, "")) for name in Epoch.__slots__ if name != "number"}
            epochs.append(Epoch(number=int(row["epoch"]), **numbers))
        except ValueError as error:
            raise RunError(f"{path}: line {line} is damaged ({error})", code="damaged_file") from error
    return tuple(epochs)


def _finite(text: str) -> float | None:
    number = float(text) if text else math.nan
    return number if math.isfinite(number) else None


def _read_evaluation(path: Path) -> Evaluation | None:
    if not path.exists():
        return None
    try:
        evaluation = read_evaluation(path)
        labels = len(evaluation.classes)
        if evaluation.confusion and [len(row) for row in evaluation.confusion] != [labels] * labels:
            raise ValueError(f"the confusion matrix is not {labels} by {labels}")
        if evaluation.per_label and tuple(entry.name for entry in evaluation.per_label) != evaluation.classes:
            raise ValueError("the scores per label are not those of the classes")
        if evaluation.thresholds and len(evaluation.thresholds.values) != labels:
            raise ValueError(f"{len(evaluation.thresholds.values)} thresholds for {labels} labels")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(
            f"{path}: damaged ({type(error).__name__}: {error}); evaluate the run again", code="damaged_file"
        ) from error
    return evaluation


def read_predictions(path: Path) -> tuple[PredictionRow, ...]:
    """Read ``predictions.parquet`` of pictures with one label each; nothing where there is none.

    Raises:
        RunError: It is damaged.
    """
    if not path.exists():
        return ()
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        require_intact(path)
        columns = parquet.read_table(path, columns=list(PredictionRow.__slots__)).to_pydict()
        return tuple(map(PredictionRow, *(columns[name] for name in PredictionRow.__slots__)))
    except (OSError, KeyError, arrow.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or unreadable ({error}); evaluate the run again", code="damaged_file"
        ) from error
