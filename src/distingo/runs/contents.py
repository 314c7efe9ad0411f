"""All files of a run folder as one record, in which files that do not exist yet are None or empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distingo.errors import RunError
from distingo.files import require_intact
from distingo.messages.notes import Note
from distingo.records import ManifestRow, Task, ValueRanges
from distingo.runs.config import RunConfig, read_config_file
from distingo.runs.data import NearDuplicateCounts, SplitRow, read_counts, read_manifest, read_split_rows
from distingo.runs.evaluation import read_evaluation, read_other_data
from distingo.runs.fields import Plain
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord, read_history
from distingo.runs.predictions import Predicted, PredictionRow, encode_names, read_predicted, read_predictions
from distingo.scores import Evaluation


@dataclass(frozen=True, slots=True)
class RunRecords:
    """The contents of a run folder that pages use.

    Attributes:
        folder: The run folder, or the folder in it of an evaluation on other images.
        config: The content of ``config.json``.
        manifest: One row per file found.
        split: One row per image used.
        history: One entry per epoch; empty for a model without epochs.
        evaluation: The scores, or None before ``distingo evaluate``.
        predictions: One row per test image; empty before ``distingo evaluate``, and for multi-label, for which
            `distingo.runs.predictions.read_predicted` reads them.
        summary: The model's layer table, or empty.
        near_duplicates: Result of the search for near-duplicates when the run split its images; None for a run of an
            older version, and for an evaluation on other images.
    """

    folder: Path
    config: RunConfig
    manifest: tuple[ManifestRow, ...]
    split: tuple[SplitRow, ...]
    history: tuple[EpochRecord, ...]
    evaluation: Evaluation | None
    predictions: tuple[PredictionRow, ...]
    summary: str
    near_duplicates: NearDuplicateCounts | None = None

    @property
    def data(self) -> Path:
        """The source of the images: a folder, or a table of labels."""
        return Path(self.config.data)

    @property
    def root(self) -> Path:
        """The folder that file names are relative to."""
        return self.config.root_folder

    @property
    def value_ranges(self) -> ValueRanges:
        """The ranges by which deep images are scaled."""
        return self.config.ranges or ValueRanges()

    @property
    def data_name(self) -> str:
        """Name of the data for people: the folder's name, or the table's name after that of its folder."""
        return self.config.data_name

    @property
    def task(self) -> Task:
        """Single-label or multi-label."""
        return self.config.task

    @property
    def classes(self) -> tuple[str, ...]:
        """All class names."""
        return self.config.classes

    @property
    def recipe(self) -> dict[str, Plain]:
        """The recipe in ``config.json``, by field name."""
        return self.config.recipe

    @property
    def environment(self) -> dict[str, Plain]:
        """Software and hardware of the run, by name."""
        return self.config.environment

    @property
    def choices(self) -> tuple[Note, ...]:
        """Values that distingo chose, with reasons."""
        return self.config.choices

    @property
    def model(self) -> str:
        """The model's name; for a folder or a repository on a hub, the last part of its path."""
        return str(self.recipe.get("model", "model")).rstrip("/").rpartition("/")[2]

    def predicted_on(self, files: Sequence[str]) -> Predicted:
        """Read the predictions for some of the run's test images.

        Args:
            files: File names as in ``split.csv``, in the order of the result.

        Raises:
            RunError: The predictions are missing, damaged, or do not match ``split.csv``.
        """
        again = f"`distingo evaluate {self.folder}` evaluates it again"
        predicted = read_predicted(self.folder / "predictions.parquet", self.classes)
        if predicted is None:
            raise RunError(f"{self.folder}: holds no predictions.parquet; {again}", code="not_evaluated")
        labels = {row.file: row.labels for row in self.split}
        try:
            predicted = predicted.of(files)
            truth = encode_names([labels[file] for file in files], self.classes)
        except KeyError as error:
            raise RunError(
                f"{self.folder}: predictions.parquet and split.csv name different test pictures or classes ({error}); "
                f"{again}",
                code="records_differ",
            ) from error
        expected = truth.argmax(axis=1) if predicted.truth.ndim == 1 else truth
        if not np.array_equal(predicted.truth, expected):
            raise RunError(
                f"{self.folder}: predictions.parquet and split.csv disagree on the labels of a picture; {again}",
                code="records_differ",
            )
        return predicted


def read_run(folder: Path) -> RunRecords:
    """Read the contents of a run folder.

    Args:
        folder: The run folder, finished or not.

    Returns:
        The records; those that a later command writes may be missing.

    Raises:
        RunError: The folder is not a run, or a file is damaged or from a newer version.
    """
    config = read_config_file(RunFolder(folder).config, required=())
    summary = folder / "model" / "summary.txt"
    if summary.exists():
        require_intact(summary)
    return RunRecords(
        folder=folder,
        config=config,
        manifest=_read_manifest(folder),
        split=read_split_rows(folder / "split.csv"),
        history=read_history(folder / "history.csv"),
        evaluation=_read_evaluation(folder),
        predictions=_read_predictions(folder, config),
        summary=summary.read_text(encoding="utf-8", errors="replace") if summary.exists() else "",
        near_duplicates=read_counts(folder / "near_duplicates.json"),
    )


def read_other_evaluation(run: Path, place: Path) -> RunRecords:
    """Read an evaluation on other images than the run's own.

    Args:
        run: The run folder.
        place: The folder in it that `distingo.evaluation.evaluating.evaluate_run` wrote to.

    Returns:
        The run's records, with the other images in place of the run's own, and without the history.

    Raises:
        RunError: As for `read_run`.
    """
    records = read_run(run)
    other = read_other_data(place)
    return replace(
        records,
        folder=place,
        config=replace(records.config, data=other.data, root=other.root),
        manifest=_read_manifest(place),
        split=read_split_rows(place / "split.csv"),
        history=(),
        evaluation=_read_evaluation(place),
        predictions=_read_predictions(place, records.config),
        near_duplicates=None,
    )


def _read_manifest(folder: Path) -> tuple[ManifestRow, ...]:
    path = folder / "manifest.csv"
    return read_manifest(path) if path.exists() else ()


def _read_evaluation(folder: Path) -> Evaluation | None:
    path = folder / "evaluation.json"
    return read_evaluation(path) if path.exists() else None


def _read_predictions(folder: Path, config: RunConfig) -> tuple[PredictionRow, ...]:
    return () if config.task == "multi-label" else read_predictions(folder / "predictions.parquet")
