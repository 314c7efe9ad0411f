"""The folder of a search: whose it is, and the names of the files in it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distingo.csv_cells import CsvWriter
from distingo.errors import RunError, UsageError, option
from distingo.files import read_json, remove_half_written, write_json, write_text
from distingo.run_folder import FORMAT, RunFolder, check_format, is_free
from distingo.tuning.records import Search
from distingo.version import __version__

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]

_OF_THE_MACHINE = ("device", "engine", "precision")
"""Recipe fields that say how to compute, not what."""


@dataclass(frozen=True, slots=True)
class SearchFolder:
    """Paths inside the folder of one search.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @property
    def search(self) -> Path:
        """What is searched; written first, so its presence marks the folder."""
        return self.path / "search.json"

    @property
    def prepared(self) -> RunFolder:
        """The default recipe's ``config.json``, the manifest, and the split that all trials keep to."""
        return RunFolder(self.path / "prepared")

    @property
    def storage(self) -> Path:
        """Optuna's, with every trial."""
        return self.path / "trials.sqlite3"

    @property
    def epochs(self) -> RunFolder:
        """A folder for each trained recipe: its history, and a checkpoint as long as it is not over."""
        return RunFolder(self.path / "trials")

    @property
    def batch_sizes(self) -> Path:
        """What ``--batch-size auto`` found, by mode; later trials keep to it."""
        return self.path / "batch-sizes.json"

    @property
    def table(self) -> Path:
        """Every trial as a line."""
        return self.path / "trials.csv"

    @property
    def best_recipe(self) -> Path:
        """What ``train --recipe`` takes."""
        return self.path / "best-recipe.json"

    @property
    def page(self) -> Path:
        """The page a person opens."""
        return self.path / "tune.html"


@contextlib.contextmanager
def open_search(path: Path, wanted: dict[str, Any]) -> Iterator[SearchFolder]:
    """Make the folder of a search, or go on in one that the same search began.

    Args:
        path: New, empty, or of the same search.
        wanted: What is searched, as JSON values: data, wishes, split.

    Yields:
        The folder; no other process is at work in it.

    Raises:
        UsageError: It is of another search, or another process is at work in it.
        RunError: It holds something else.
    """
    folder = SearchFolder(path)
    content = {"format": FORMAT, "distingo": __version__, **json.loads(json.dumps(wanted))}
    if folder.search.is_file():
        _require_same(folder, content)
    elif not is_free(path):
        raise RunError(
            f"{path}: exists and is not an empty folder; choose another {option('output')}",
            code="not_empty",
            parameter="output",
        )
    else:
        write_json(folder.search, content)
    with _locked(folder):
        remove_half_written(path)
        if not folder.prepared.config.is_file():
            shutil.rmtree(folder.prepared.path, ignore_errors=True)  # a killed process had begun it
        yield folder


def write_search(folder: SearchFolder, search: Search) -> None:
    """Write all trials as a table and, once there is one, the best recipe, of tied ones the chosen one."""
    _write_table(folder.table, search)
    if search.best is None or search.best_trial is None:
        return
    recipe = {name: value for name, value in search.best.items() if name not in _OF_THE_MACHINE}
    found = {
        "trial": search.best_trial.number,
        "tied": [trial.number for trial in search.tied if trial.number != search.best_trial.number],
        "chosen_by": search.chosen_by,
        "of_trials": len(search.trials),
        search.monitor: search.best_trial.score,
        "gain_over_default": search.gain,
        "validation_pictures": search.validation,
    }
    content = {"format": FORMAT, "distingo": __version__, "recipe": recipe, "found": found}
    write_json(folder.best_recipe, content, sealed=False)


def _write_table(path: Path, search: Search) -> None:
    names = list(dict.fromkeys(name for stage in search.stages for name in (entry.name for entry in stage.dimensions)))
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.write(["trial", "stage", "state", search.monitor, "loss", "epochs", "seconds", "default", *names, "reason"])
    for trial in search.trials:
        told = [trial.number, trial.stage, trial.state, _rounded(trial.score), _rounded(trial.loss)]
        told += [len(trial.curve), f"{trial.seconds:.1f}", "yes" if trial.is_default else "no"]
        writer.write([*told, *(trial.values.get(name, "") for name in names), trial.reason])
    write_text(path, text.getvalue())


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _require_same(folder: SearchFolder, content: dict[str, Any]) -> None:
    known = read_json(folder.search)
    check_format(known, folder.search)
    for name in ("data", "wishes", "split", "table", "corrections", "near_duplicates", "max_pixels"):
        if known.get(name) != content.get(name):
            raise UsageError(
                f"{folder.path}: was started with {name} {_said(known.get(name))}, not {_said(content.get(name))}; "
                f"give the same command to go on, or choose another {option('output')}",
                code="changed_options",
                parameter="output",
            )


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items()) or "none"
    return str(value)


@contextlib.contextmanager
def _locked(folder: SearchFolder) -> Iterator[None]:
    with (folder.path / "lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"{folder.path}: another process searches here; wait until it is done",
                    code="in_use",
                    parameter="output",
                ) from error
        yield
