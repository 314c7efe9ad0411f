"""The run folder: the names of the files in it, through which commands hand results to each other.

Also the folders that commands fill: what a killed command left of a new one does not hinder the same command.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distingo.errors import RunError, option
from distingo.files import is_half_written, remove_half_written, write_json

EXPORT_FILE = "distingo.json"
"""Marks the folder of an export, which is none of a run."""

FORMAT = 2
"""Raised when an older distingo could misread what a newer one wrote; since 2 there are notes in place of sentences."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside one run folder.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @property
    def config(self) -> Path:
        """What was requested and chosen; written first, so its presence marks a run folder."""
        return self.path / "config.json"

    @property
    def manifest(self) -> Path:
        """What became of every file found."""
        return self.path / "manifest.csv"

    @property
    def split(self) -> Path:
        """Which split each image is on."""
        return self.path / "split.csv"

    @property
    def near_duplicates(self) -> Path:
        """What was searched for near-duplicates, what was found, and what is on several splits."""
        return self.path / "near_duplicates.json"

    @property
    def corrections(self) -> Path:
        """The corrections that changed what was trained on; only there if some did."""
        return self.path / "corrections.csv"

    @property
    def history(self) -> Path:
        """One line per epoch."""
        return self.path / "history.csv"

    @property
    def last_checkpoint(self) -> Path:
        """The state after the latest epoch."""
        return self.path / "checkpoint" / "last.safetensors"

    @property
    def previous_checkpoint(self) -> Path:
        """The state an epoch earlier, for the case that the latest one is damaged."""
        return self.path / "checkpoint" / "previous.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        """The best epoch's weights."""
        return self.path / "checkpoint" / "best.safetensors"

    @property
    def model(self) -> Path:
        """The finished, self-describing model."""
        return self.path / "model"

    def baseline(self, name: str) -> Path:
        """A baseline fitted on the same train split."""
        return self.path / "baselines" / name

    @property
    def evaluation(self) -> Path:
        """Scores on the test split."""
        return self.path / "evaluation.json"

    @property
    def predictions(self) -> Path:
        """Probabilities for every test image."""
        return self.path / "predictions.parquet"

    @property
    def cost(self) -> Path:
        """What training took, and how fast the model predicts."""
        return self.path / "cost.json"

    @property
    def heat_maps(self) -> Path:
        """What spoke for the worst mistakes."""
        return self.path / "heat_maps.parquet"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def exports(self) -> Path:
        """The model in other formats, a folder for each."""
        return self.path / "exports"

    def judged_on(self, data: Path) -> Path:
        """The folder of an evaluation on other images."""
        return self.path / "evaluations" / data.resolve().name

    def is_finished(self) -> bool:
        """Whether training and the evaluation on the test split are done."""
        return self.evaluation.is_file() and (self.model / "model.json").is_file()

    def how_to_resume(self) -> str:
        """The message for a user who stopped the training."""
        if self.last_checkpoint.is_file():
            return f"stopped; `distingo train -o {self.path} --resume` goes on from the last finished epoch"
        if self.config.is_file():
            return f"stopped before the first epoch ended; `distingo train -o {self.path} --resume` starts it again"
        return "stopped before training began; nothing was written"


def check_format(content: Any, path: Path) -> None:
    """Refuse a JSON file that a newer distingo wrote or that is not ours.

    Raises:
        RunError: Says which of the two, and what to do.
    """
    number = content.get("format") if isinstance(content, dict) else None
    if not isinstance(number, int):
        raise RunError(f"{path}: not a file of distingo's (no format number)", code="wrong_format")
    if number > FORMAT:
        raise RunError(
            f"{path}: written by a newer distingo (format {number}, this one reads up to {FORMAT}); "
            "`pip install --upgrade distingo`",
            code="newer_version",
        )


BEGUN_FILE = "begun.json"
"""In a folder whose first complete file is not there yet."""


def is_free(folder: Path) -> bool:
    """Whether a command may fill a folder: none is there, it is empty, or a killed command had just begun it."""
    if not folder.exists() and not folder.is_symlink():
        return True
    if not folder.is_dir():
        return False
    return (folder / BEGUN_FILE).is_file() or all(is_half_written(path) for path in folder.iterdir())


def require_free(folder: Path, *, holds: str = "", resumable: bool = False) -> None:
    """Refuse a folder that a command may not fill.

    Args:
        folder: The command's output.
        holds: What is in it already, such as ``run``; empty where it is none of the command's own.
        resumable: Whether ``--resume`` may go on in a folder of other things.

    Raises:
        RunError: It is not free.
    """
    if holds:
        raise RunError(
            f"{folder}: holds another {holds}; choose another {option('output')}, or {option('resume', value=True)} to "
            "go on with that one",
            code="not_empty",
            parameter="output",
        )
    if not is_free(folder):
        resume = f", or {option('resume', value=True)} to go on there" if resumable else ""
        raise RunError(
            f"{folder}: exists and is not an empty folder; choose another {option('output')}{resume}",
            code="not_empty",
            parameter="output",
        )


def begin_folder(folder: Path, stale: Sequence[str] = ()) -> None:
    """Mark a folder that `is_free` as begun; made if missing.

    Args:
        folder: To be filled.
        stale: Files that a killed command may have left, and that this one may not write.

    Raises:
        ResourceError: It can't be written.
    """
    is_ours = (folder / BEGUN_FILE).is_file()
    write_json(folder / BEGUN_FILE, {"format": 1})
    remove_half_written(folder)
    if is_ours:
        for name in stale:
            (folder / name).unlink(missing_ok=True)


def end_beginning(folder: Path) -> None:
    """Take the mark away: another file says from now on what the folder is."""
    (folder / BEGUN_FILE).unlink(missing_ok=True)


def identify_request(request: dict[str, object]) -> str:
    """Identify what was requested, so that the same command is recognized after a kill.

    Args:
        request: Everything that decides on the result; values that JSON has no form for count as their text.
    """
    text = json.dumps(request, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
