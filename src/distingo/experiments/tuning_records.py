"""Frozen records of a search's result, and the folder that stores it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from distingo.csv_files import CsvWriter
from distingo.errors import UsageError, option
from distingo.files import read_json, remove_half_written, write_json, write_text
from distingo.runs.fields import Plain
from distingo.runs.folder import FORMAT, RunFolder, check_format, require_free
from distingo.version import __version__

StageName = Literal["head", "training"]

TrialState = Literal["complete", "pruned", "failed"]

Value = str | int | float | None

ChosenBy = Literal["score", "default", "loss", "order"]
"""Why a trial was chosen: its score, or among tied trials, being the default, having the lowest loss, or being
first."""

_SAME = 1e-12
"""Largest difference between tied scores."""


@dataclass(frozen=True, slots=True)
class Options:
    """A recipe field with a fixed set of values."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class LogRange:
    """A recipe field with a log-uniform range of numbers."""

    name: str
    low: float
    high: float


Dimension = Options | LogRange


@dataclass(frozen=True, slots=True)
class Trial:
    """The trial of one recipe.

    Attributes:
        number: Number of the trial, from 1, over all stages in order.
        stage: Name of the trial's stage.
        values: Values of the searched fields.
        state: Whether the trial was completed, pruned or failed.
        score: Best monitored validation score, higher is better; None if the trial failed before the first score.
        loss: Validation cross-entropy at that point, which breaks ties; None if there is no score.
        curve: The monitored score after each epoch; empty for a head.
        seconds: Duration in the process that finished the trial.
        is_default: Whether its recipe is the default recipe.
        reason: Reason of a failure, otherwise empty.
    """

    number: int
    stage: StageName
    values: dict[str, Value]
    state: TrialState
    score: float | None
    loss: float | None
    curve: tuple[float, ...]
    seconds: float
    is_default: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a search.

    Attributes:
        name: ``head`` solves heads on frozen features, ``training`` trains by epochs.
        dimensions: What was searched.
        trials: In order.
        importances: Fraction of the scores' variance that each field explains (fANOVA), largest first; empty with too
            few trials.
    """

    name: StageName
    dimensions: tuple[Dimension, ...]
    trials: tuple[Trial, ...]
    importances: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """The state or result of a search for a recipe.

    Attributes:
        data: Name of the data set folder.
        model: Model of the recipes.
        task: Single-label or multi-label.
        monitor: The validation score that decides, as in `distingo.training.recipe.Recipe.monitor`.
        train: Number of training images of every trial.
        validation: Number of validation images.
        test: Number of test images, which are not used.
        stages: In order; the cheap one first.
        default: The default recipe, by field.
        best: The best recipe found, by field; None before a trial is complete.
        best_trial: Trial of the best recipe; ties are broken by `choose_best`.
        is_finished: Whether the requested number of trials or time was reached.
        tied: Trials with the same highest score, including `best_trial`; empty if there is only one.
    """

    data: str
    model: str
    task: str
    monitor: str
    train: int
    validation: int
    test: int
    stages: tuple[Stage, ...]
    default: dict[str, Plain]
    best: dict[str, Plain] | None
    best_trial: Trial | None
    is_finished: bool
    tied: tuple[Trial, ...] = ()

    def __repr__(self) -> str:
        best = self.best_trial
        if best is None or best.score is None:
            result = "none complete"
        else:
            result = f"best {self.monitor} {best.score:.4g} in trial {best.number}"
        return f"Search({self.model!r}, {len(self.trials)} trials, {result})"

    @property
    def chosen_by(self) -> ChosenBy | None:
        """Why `best_trial` was chosen; None if there is none yet."""
        best = self.best_trial
        if best is None:
            return None
        others = [trial for trial in self.tied if trial.number != best.number]
        if not others:
            return "score"
        if best.is_default:
            return "default"
        return "order" if any((trial.loss or 0.0) == (best.loss or 0.0) for trial in others) else "loss"

    @property
    def leaders(self) -> tuple[Trial, ...]:
        """All trials with the highest score; empty before a trial is complete."""
        return self.tied or (() if self.best_trial is None else (self.best_trial,))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials of all stages."""
        return tuple(trial for stage in self.stages for trial in stage.trials)

    @property
    def default_trial(self) -> Trial | None:
        """The trial of the default recipe, or None if it is not finished."""
        return next((trial for trial in self.trials if trial.is_default and trial.score is not None), None)

    @property
    def gain(self) -> float | None:
        """Difference between the best trial's score and the default's; None until both exist."""
        best, default = self.best_trial, self.default_trial
        if best is None or default is None or best.score is None or default.score is None:
            return None
        return best.score - default.score


def choose_best(trials: Sequence[Trial]) -> Trial | None:
    """Return the complete trial with the highest score; ties go to the default, then to the lowest loss."""

    def rank(trial: Trial) -> tuple[bool, float, int]:
        return not trial.is_default, trial.loss or 0.0, trial.number

    return min(_with_highest_score(trials), key=rank, default=None)


def find_tied(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the complete trials that share the highest score, in order; empty if there is only one."""
    first = _with_highest_score(trials)
    return first if len(first) > 1 else ()


def _with_highest_score(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    scored = [(trial, trial.score) for trial in trials if trial.state == "complete" and trial.score is not None]
    highest = max((score for _, score in scored), default=0.0)
    return tuple(trial for trial, score in scored if score >= highest - _SAME)


try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]

_OF_THE_MACHINE = ("device", "engine", "precision")
"""Recipe fields that affect the computation but not the result."""


@dataclass(frozen=True, slots=True)
class SearchFolder:
    """Paths inside the folder of one search.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @property
    def search(self) -> Path:
        """File that describes the search; written first, so its presence marks the folder."""
        return self.path / "search.json"

    @property
    def prepared(self) -> RunFolder:
        """Folder with the default recipe's ``config.json``, the manifest, and the split of all trials."""
        return RunFolder(self.path / "prepared")

    @property
    def storage(self) -> Path:
        """Optuna's database of all trials."""
        return self.path / "trials.sqlite3"

    @property
    def epochs(self) -> RunFolder:
        """Folder with a subfolder for each trained recipe: its history, and a checkpoint until it is finished."""
        return RunFolder(self.path / "trials")

    @property
    def batch_sizes(self) -> Path:
        """File of the batch sizes that ``--batch-size auto`` chose, by mode; later trials reuse them."""
        return self.path / "batch-sizes.json"

    @property
    def table(self) -> Path:
        """Table of all trials, one per line."""
        return self.path / "trials.csv"

    @property
    def best_recipe(self) -> Path:
        """The best recipe, for ``train --recipe``."""
        return self.path / "best-recipe.json"

    @property
    def page(self) -> Path:
        """The HTML page of the search."""
        return self.path / "tune.html"


@contextlib.contextmanager
def open_search(path: Path, identity: Mapping[str, object]) -> Iterator[SearchFolder]:
    """Create the folder of a search, or continue in one that the same search began.

    Args:
        path: Folder that is new, empty, or of the same search.
        identity: Data, options and split of the search, as JSON values.

    Yields:
        The folder, locked for this process.

    Raises:
        UsageError: The folder belongs to another search or is in use by another process.
        RunError: The folder contains something else.
    """
    folder = SearchFolder(path)
    content = {"format": FORMAT, "distingo": __version__, **json.loads(json.dumps(identity))}
    if folder.search.is_file():
        _require_same(folder, content)
    else:
        require_free(path)
        write_json(folder.search, content)
    with _locked(folder):
        remove_half_written(path)
        if not folder.prepared.config.is_file():
            shutil.rmtree(folder.prepared.path, ignore_errors=True)  # left by a killed process
        yield folder


def write_search(folder: SearchFolder, search: Search) -> None:
    """Write the table of all trials and, if there is one, the best recipe."""
    _write_table(folder.table, search)
    if search.best is None or search.best_trial is None:
        return
    recipe = {name: value for name, value in search.best.items() if name not in _OF_THE_MACHINE}
    summary = {
        "trial": search.best_trial.number,
        "tied": [trial.number for trial in search.tied if trial.number != search.best_trial.number],
        "chosen_by": search.chosen_by,
        "of_trials": len(search.trials),
        search.monitor: search.best_trial.score,
        "gain_over_default": search.gain,
        "validation_pictures": search.validation,
    }
    content = {"format": FORMAT, "distingo": __version__, "recipe": recipe, "found": summary}
    write_json(folder.best_recipe, content, sealed=False)


def _write_table(path: Path, search: Search) -> None:
    names = list(dict.fromkeys(name for stage in search.stages for name in (entry.name for entry in stage.dimensions)))
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.write(["trial", "stage", "state", search.monitor, "loss", "epochs", "seconds", "default", *names, "reason"])
    for trial in search.trials:
        cells = [trial.number, trial.stage, trial.state, _rounded(trial.score), _rounded(trial.loss)]
        cells += [len(trial.curve), f"{trial.seconds:.1f}", "yes" if trial.is_default else "no"]
        writer.write([*cells, *(trial.values.get(name, "") for name in names), trial.reason])
    write_text(path, text.getvalue())


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _require_same(folder: SearchFolder, content: Mapping[str, object]) -> None:
    stored = read_json(folder.search)
    stored = {"options" if name == "wishes" else name: value for name, value in stored.items()}  # as in version 0.1
    check_format(stored, folder.search)
    for name in ("data", "options", "split", "table", "corrections", "near_duplicates", "max_pixels"):
        if stored.get(name) != content.get(name):
            raise UsageError(
                f"{folder.path}: was started with {name} {_as_text(stored.get(name))}, not "
                f"{_as_text(content.get(name))}; give the same command to continue, or choose another "
                f"{option('output')}",
                code="changed_options",
                parameter="output",
            )


def _as_text(value: object) -> str:
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
