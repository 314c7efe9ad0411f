"""Paths inside a run folder, and the creation of output folders that a repeated command can reuse after a crash."""

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
"""File that marks the folder of an export."""

FORMAT = 2
"""Format number of files, increased when older versions could misread new files; 2 introduced notes."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside one run folder.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The configuration; it is written first, so that its presence marks a run folder."""
        return self.path / "config.json"

    @property
    def manifest(self) -> Path:
        """The outcome for every file found."""
        return self.path / "manifest.csv"

    @property
    def split(self) -> Path:
        """The split of each image."""
        return self.path / "split.csv"

    @property
    def near_duplicates(self) -> Path:
        """The result of the search for near-duplicates, including those in different splits."""
        return self.path / "near_duplicates.json"

    @property
    def corrections(self) -> Path:
        """The corrections that affected the training data; exists only if there are any."""
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
        """The state one epoch earlier, in case the latest checkpoint is damaged."""
        return self.path / "checkpoint" / "previous.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        """The weights of the best epoch."""
        return self.path / "checkpoint" / "best.safetensors"

    @property
    def model(self) -> Path:
        """The folder of the finished model."""
        return self.path / "model"

    def baseline(self, name: str) -> Path:
        """Return the folder of a baseline, which is fitted on the same train split."""
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
        """Duration and memory of training, and the speed of prediction."""
        return self.path / "cost.json"

    @property
    def heat_maps(self) -> Path:
        """Heat maps of the most confident errors."""
        return self.path / "heat_maps.parquet"

    @property
    def report(self) -> Path:
        """The report, an HTML page."""
        return self.path / "report.html"

    @property
    def exports(self) -> Path:
        """Exports of the model, with a folder for each format."""
        return self.path / "exports"

    def evaluation_of(self, data: Path) -> Path:
        """Return the folder of an evaluation on other images."""
        return self.path / "evaluations" / data.resolve().name

    def is_finished(self) -> bool:
        """Whether training and the evaluation on the test split are complete."""
        return self.evaluation.is_file() and (self.model / "model.json").is_file()

    def describe_interruption(self) -> str:
        """Return the message for a user who interrupted the training."""
        if self.last_checkpoint.is_file():
            return f"stopped; `distingo train -o {self.path} --resume` continues from the last finished epoch"
        if self.config.is_file():
            return f"stopped before the first epoch ended; `distingo train -o {self.path} --resume` starts it again"
        return "stopped before training began; nothing was written"


def check_format(content: Any, path: Path) -> None:
    """Check the format number of a JSON file.

    Raises:
        RunError: The file was not written by distingo, or by a newer version.
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
"""File that marks a folder in which a command has not completed its first file yet."""


def is_free(folder: Path) -> bool:
    """Whether a command may write to a folder: it does not exist, is empty, or was just begun by a killed command."""
    if not folder.exists() and not folder.is_symlink():
        return True
    if not folder.is_dir():
        return False
    return (folder / BEGUN_FILE).is_file() or all(is_half_written(path) for path in folder.iterdir())


def require_free(folder: Path, *, holds: str = "", resumable: bool = False) -> None:
    """Raise an error if a command may not write to a folder.

    Args:
        folder: The command's output folder.
        holds: Name of an earlier result of the command in the folder, such as ``run``; empty if there is none.
        resumable: Whether the error message suggests ``--resume``.

    Raises:
        RunError: The folder is not free.
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
    """Mark a free folder as begun; it is created if missing.

    Args:
        folder: A folder for which `is_free` is true.
        stale: Files to remove that a killed command may have left and that this command may not overwrite.

    Raises:
        ResourceError: The folder can't be written.
    """
    is_ours = (folder / BEGUN_FILE).is_file()
    write_json(folder / BEGUN_FILE, {"format": 1})
    remove_half_written(folder)
    if is_ours:
        for name in stale:
            (folder / name).unlink(missing_ok=True)


def end_beginning(folder: Path) -> None:
    """Remove the mark of `begin_folder`; from now on, another file identifies the folder."""
    (folder / BEGUN_FILE).unlink(missing_ok=True)


def identify_request(request: dict[str, object]) -> str:
    """Compute a hash of a request, so that the same command is recognized after a crash.

    Args:
        request: Everything that determines the result; values without a JSON form are converted to strings.
    """
    text = json.dumps(request, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
