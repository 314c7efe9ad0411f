"""Tracking in TensorBoard: curves by epoch, scores, hyperparameters, plots and the layer table as event files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distingo.errors import ResourceError, UsageError, option
from distingo.runs.contents import RunRecords
from distingo.runs.folder import RunFolder
from distingo.scores import Score
from distingo.tracking.destination import EpochPoint, RunStatus, draw_result, final_scores, parameters

_SPLITS = ("train_", "validation_")


class TensorBoardRun:
    """The event files of one run.

    Args:
        writer: torch's class ``SummaryWriter``; it is instantiated when the run begins.
        events_folder: The folder of the event files.
    """

    def __init__(self, writer: Any, events_folder: Path) -> None:
        self._make = writer
        self._folder = events_folder
        self._writer: Any = None
        self._parameters: dict[str, str | int | float | bool] = {}

    @property
    def where(self) -> str:
        """TensorBoard and the folder of the event files."""
        return f"TensorBoard in {self._folder}"

    def begin(self, records: RunRecords, run_id: str) -> str:
        """Begin a new event file; TensorBoard reads it together with those of earlier processes in the same folder."""
        self._writer = self._make(log_dir=str(self._folder))
        self._parameters = parameters(records)
        if not run_id:
            rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in self._parameters.items())
            self._writer.add_text("recipe", f"| field | value |\n| --- | --- |\n{rows}", 0)
        self._writer.flush()
        return str(self._folder)

    def send_epochs(self, points: Sequence[EpochPoint]) -> None:
        """Write epochs as scalars, grouped by metric: ``loss/train``, ``loss/validation``."""
        for point in points:
            for name, value in point.values.items():
                self._writer.add_scalar(_tag(name), value, point.epoch)
        self._writer.flush()

    def send_result(self, records: RunRecords) -> None:
        """Write scores, plots, the hyperparameter table, and the paths of the report and the model."""
        from torch.utils.tensorboard.summary import hparams

        last = records.history[-1].epoch if records.history else 0
        scores = {name: value for name, value in final_scores(records).items() if math.isfinite(value)}
        for name, value in scores.items():
            self._writer.add_scalar(name, value, last)
        for name, image in draw_result(records).items():
            self._writer.add_image(name, np.asarray(image), last, dataformats="HWC")
        for name, text in _texts(records).items():
            self._writer.add_text(name, text, last)
        main = {name: value for name, value in scores.items() if _is_main(name)}
        for summary in hparams(self._parameters, main):  # type: ignore[no-untyped-call]
            self._writer.file_writer.add_summary(summary)
        self._writer.flush()

    def end(self, status: RunStatus) -> None:
        """Close the file; the ending is ignored, since TensorBoard runs have no status."""
        del status
        self._writer.close()


def open_tensorboard(folder: RunFolder, to: str | None, *, is_known: bool) -> TensorBoardRun:
    """Choose and create the folder for a run's event files.

    Args:
        folder: The run folder.
        to: A folder for the event files of several runs, in which this run gets its own; None for ``RUN/tensorboard``.
        is_known: Whether the run was tracked before, so that its folder may contain events already.

    Raises:
        UsageError: The library is missing, or the folder contains events of another run.
        ResourceError: The folder can't be created.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            f'{option("track", "tensorboard")} needs TensorBoard: `pip install "distingo[tensorboard]"`',
            code="missing_extra",
            parameter="track",
        ) from error
    if to is None:
        return TensorBoardRun(SummaryWriter, folder.path / "tensorboard")
    events_folder = Path(to) / folder.path.resolve().name
    if not is_known and any(events_folder.glob("events.out.tfevents.*")):
        raise UsageError(
            f"{events_folder}: holds events of another run; choose another {option('track_to')}, or another name for "
            f"{option('output')}",
            code="not_empty",
            parameter="track_to",
        )
    try:
        events_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"{events_folder}: can't be made ({error.strerror}); choose another {option('track_to')}",
            code="cannot_write",
            parameter="track_to",
        ) from error
    return TensorBoardRun(SummaryWriter, events_folder)


def _tag(name: str) -> str:
    split = next((split for split in _SPLITS if name.startswith(split)), None)
    return name if split is None else f"{name.removeprefix(split)}/{split.rstrip('_')}"


def _is_main(name: str) -> bool:
    return not name.endswith(("_low", "_high")) and not name.startswith("baseline_")


def _interval(score: Score) -> str:
    return "too few images" if score.too_few else f"{score.low:.4f} - {score.high:.4f}"


def _texts(records: RunRecords) -> dict[str, str]:
    texts = {"report": f"{records.folder.resolve() / 'report.html'}", "model": f"{records.folder.resolve() / 'model'}"}
    if records.summary:
        texts["layers"] = "\n".join(f"    {line}" for line in records.summary.splitlines())
    if records.evaluation is not None:
        rows = [
            f"| {name} | {score.value:.4f} | {_interval(score)} | {score.n} |"
            for name, score in records.evaluation.scores.items()
        ]
        texts["scores"] = "\n".join(["| score | value | 95 % interval | n |", "| --- | --- | --- | --- |", *rows])
    classes = [f"{number}. {_cell(name)}" for number, name in enumerate(records.classes, start=1)]
    return {**texts, "classes": "\n".join(classes)}


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
