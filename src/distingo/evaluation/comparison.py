"""The records of a comparison between runs, and ``comparison.json``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distingo.evaluation.cost_beside import Cost
from distingo.evaluation.pairing import VersusBest
from distingo.evaluation.reading import RunRecords
from distingo.evaluation.seeds import ComparedRecipes
from distingo.files import write_json
from distingo.records import Evaluation, Score
from distingo.run_folder import FORMAT

COMPARISON_JSON = "comparison.json"
COMPARISON_PAGE = "comparison.html"

_SAME = 1e-12
"""Scores no farther apart are the same, summed in another order."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: Its folder's name, with as many folders above as tell it from the others.
        model: Name of the model.
        mode: ``scratch``, ``frozen`` or ``finetune``; ``classic`` for a model that is no network.
        records: Everything its folder holds.
        evaluation: Its scores on the test side.
        cost: Time, memory and size.
        versus_best: Beside the best run; None for the best itself.
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
        seeds: Names of runs that are one recipe with other seeds, a group for each such recipe.
        recipes: With one label per picture, recipes beside the best one by all their runs, where there are several.
    """

    task: str
    score: str
    n: int
    runs: tuple[ComparedRun, ...]
    baselines: dict[str, dict[str, Score]]
    notes: tuple[str, ...]
    seeds: tuple[tuple[str, ...], ...] = ()
    recipes: tuple[ComparedRecipes, ...] = ()

    @property
    def best(self) -> ComparedRun:
        """The run with the highest score; on a tie the first one of `tied`, which the others are compared with."""
        return self.runs[0]

    @property
    def tied(self) -> tuple[ComparedRun, ...]:
        """The runs that share the highest score; nothing where one run has it alone."""
        highest = self.best.evaluation.scores[self.score].value
        first = tuple(run for run in self.runs if run.evaluation.scores[self.score].value >= highest - _SAME)
        return first if len(first) > 1 else ()


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
        "best": None if comparison.tied else comparison.best.name,
        "tied": [run.name for run in comparison.tied],
        "runs": [_run_as_json(run, folder) for run in comparison.runs],
        "baselines": {
            model: {name: asdict(score) for name, score in scores.items()}
            for model, scores in comparison.baselines.items()
        },
        "seeds": [list(names) for names in comparison.seeds],
        "recipes": [asdict(compared) for compared in comparison.recipes],
        "notes": list(comparison.notes),
    }
    write_json(path, content)
    return path


def _run_as_json(run: ComparedRun, folder: Path) -> dict[str, Any]:
    return {
        "name": run.name,
        "folder": path_from(folder, run.records.folder),
        "model": run.model,
        "mode": run.mode,
        "scores": {name: asdict(score) for name, score in run.evaluation.scores.items()},
        "cost": asdict(run.cost),
        "versus_best": None if run.versus_best is None else asdict(run.versus_best),
    }


def path_from(folder: Path, target: Path) -> str:
    """Where a file or folder lies as seen from another folder, with forward slashes."""
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
