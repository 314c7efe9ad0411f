"""The records of a comparison between runs, and ``comparison.json``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distingo.evaluation.reading import RunRecords
from distingo.files import write_json
from distingo.metrics.paired import PairedDifference
from distingo.records import Evaluation, Score
from distingo.run_folder import FORMAT

COMPARISON_JSON = "comparison.json"
COMPARISON_PAGE = "comparison.html"


@dataclass(frozen=True, slots=True)
class VersusBest:
    """A run beside the best one on the same test pictures.

    Attributes:
        paired: This run (first) against the best (second).
        adjusted_p_value: The p-value times the number of pairs of runs, at most 1 (Bonferroni): the best run was
            found on these same pictures, so its lead must hold among all pairs that could have been looked at.
    """

    paired: PairedDifference
    adjusted_p_value: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run's model costs; what a run does not tell is None.

    Attributes:
        parameters: How many numbers a network learned; None for a classic model.
        model_bytes: Size of ``model.safetensors``.
        training_seconds: All epochs together, validation included; None for a model without epochs.
        images_per_second: Median over epochs of training pictures per second.
        precision: What networks were computed in, for example ``float32``.
    """

    parameters: int | None
    model_bytes: int | None
    training_seconds: float | None
    images_per_second: float | None
    precision: str | None


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: Its folder's name, with as many folders above as tell it from the others.
        model: Name of the model.
        mode: ``scratch``, ``frozen`` or ``finetune``; ``classic`` for a model that is no network.
        records: Everything its folder holds.
        evaluation: Its scores on the test side.
        cost: Time and size.
        versus_best: Beside the best run; None for the best itself and where pictures carry several labels.
    """

    name: str
    model: str
    mode: str
    records: RunRecords
    evaluation: Evaluation
    cost: Cost
    versus_best: VersusBest | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Finished runs that were judged on the same pictures.

    Attributes:
        task: One label per picture, or several.
        score: Name of the score that decides which run is best.
        n: How many test pictures there are.
        runs: The best first.
        baselines: By model name, then by score name; none that is among the runs.
        notes: What a reader should know before trusting the comparison.
    """

    task: str
    score: str
    n: int
    runs: tuple[ComparedRun, ...]
    baselines: dict[str, dict[str, Score]]
    notes: tuple[str, ...]

    @property
    def best(self) -> ComparedRun:
        """The run with the highest score."""
        return self.runs[0]


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write ``comparison.json``, the best run first.

    Args:
        comparison: What to write.
        folder: Made if missing.

    Returns:
        The file's path.

    Raises:
        ResourceError: It can't be written.
    """
    path = folder / COMPARISON_JSON
    content = {
        "format": FORMAT,
        "task": comparison.task,
        "score": comparison.score,
        "n": comparison.n,
        "best": comparison.best.name,
        "runs": [_run_as_json(run, folder) for run in comparison.runs],
        "baselines": {
            model: {name: asdict(score) for name, score in scores.items()}
            for model, scores in comparison.baselines.items()
        },
        "notes": list(comparison.notes),
    }
    write_json(path, content)
    return path


def _run_as_json(run: ComparedRun, folder: Path) -> dict[str, Any]:
    versus = run.versus_best
    return {
        "name": run.name,
        "folder": path_from(folder, run.records.folder),
        "model": run.model,
        "mode": run.mode,
        "scores": {name: asdict(score) for name, score in run.evaluation.scores.items()},
        **asdict(run.cost),
        "versus_best": None
        if versus is None
        else {**asdict(versus.paired), "adjusted_p_value": versus.adjusted_p_value},
    }


def path_from(folder: Path, target: Path) -> str:
    """Where a file or folder lies as seen from another folder, with forward slashes."""
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
