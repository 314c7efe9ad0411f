"""Finished runs side by side, judged on the same pictures: which is best, and whether by more than chance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from distingo.errors import RunError, UsageError
from distingo.evaluation.comparison import ComparedRun, Comparison, Cost, VersusBest
from distingo.evaluation.reading import RunRecords, read_run
from distingo.evaluation.same_test import require_own_judgement, require_same_test
from distingo.metrics.paired import paired_difference
from distingo.models.catalogue import CATALOGUE
from distingo.records import Score

MAIN_SCORES = {"single-label": "accuracy", "multi-label": "mean_average_precision_macro"}
"""By task, the score that decides which run is best; higher is better."""

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
"""What batch normalisation counts rather than learns."""


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Put finished runs side by side.

    Where pictures carry one label each, every run is compared with the best one picture by picture
    (`distingo.metrics.paired.paired_difference`).

    Args:
        folders: At least two run folders, each once.

    Returns:
        The comparison, the best run first; of equally good runs the one given first.

    Raises:
        RunError: A folder is no run, is not evaluated or is damaged, or two runs were not judged on the same
            pictures; says which two and what differs.
        UsageError: There are fewer than two folders, or one is given twice.
    """
    _require_several(folders)
    names = name_apart([folder.resolve() for folder in folders])
    runs = [_compared(name, read_run(folder)) for name, folder in zip(names, folders, strict=True)]
    for run in runs[1:]:
        require_same_test(runs[0].records, run.records)
    task = runs[0].records.task
    score = _main_score(task, runs)
    runs.sort(key=lambda run: -run.evaluation.scores[score].value)
    return Comparison(
        task=task,
        score=score,
        n=runs[0].evaluation.n,
        runs=_beside_best(runs) if score == "accuracy" else tuple(runs),
        baselines=_baselines(runs),
        notes=_training_notes(runs),
    )


def name_apart(folders: Sequence[Path]) -> list[str]:
    """Name folders by their last part, and by as many parts above it as tell each from the others.

    Args:
        folders: Absolute, each once.

    Returns:
        For example ``["aerial/run", "sports/run", "third"]``.
    """
    names = []
    for folder in folders:
        depth = 1
        while any(other.parts[-depth:] == folder.parts[-depth:] for other in folders if other != folder):
            depth += 1
        names.append("/".join(folder.parts[-depth:]))
    return names


def _require_several(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise UsageError("compare needs two run folders or more")
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise UsageError(f"{folder}: is given twice; name each run once")
        seen.add(folder.resolve())


def _compared(name: str, records: RunRecords) -> ComparedRun:
    evaluation = require_own_judgement(records)
    entry = CATALOGUE.get(records.model)
    classic = entry is not None and entry.kind == "classic"
    mode = "classic" if classic else str(records.recipe.get("mode", "scratch"))
    return ComparedRun(name, records.model, mode, records, evaluation, _cost(records, classic=classic))


def _main_score(task: str, runs: Sequence[ComparedRun]) -> str:
    if task not in MAIN_SCORES:
        raise RunError(f"{runs[0].records.folder}: has the task {task!r}; known are {', '.join(MAIN_SCORES)}")
    score = MAIN_SCORES[task]
    for run in runs:
        if score not in run.evaluation.scores:
            folder = run.records.folder
            raise RunError(f"{folder}: evaluation.json has no {score}; `distingo evaluate {folder}` judges it again")
    return score


def _beside_best(runs: Sequence[ComparedRun]) -> tuple[ComparedRun, ...]:
    """Every run but the first, the best, gets its paired difference from it."""
    files = [row.file for row in runs[0].records.predictions]
    best = _right(runs[0].records, files)
    pairs = len(runs) * (len(runs) - 1) // 2
    beside = [runs[0]]
    for run in runs[1:]:
        paired = paired_difference(_right(run.records, files), best)
        beside.append(replace(run, versus_best=VersusBest(paired, min(1.0, pairs * paired.p_value))))
    return tuple(beside)


def _right(records: RunRecords, files: Sequence[str]) -> npt.NDArray[np.bool_]:
    right = {row.file: row.truth == row.predicted for row in records.predictions}
    return np.array([right[file] for file in files], dtype=np.bool_)


def _baselines(runs: Sequence[ComparedRun]) -> dict[str, dict[str, Score]]:
    """Each baseline once, unless a run of that model is compared itself."""
    models = {run.model for run in runs}
    return {
        name: scores
        for run in reversed(runs)
        for name, scores in run.evaluation.baselines.items()
        if name not in models
    }


def _training_notes(runs: Sequence[ComparedRun]) -> tuple[str, ...]:
    best = runs[0]
    learned = _training_files(best.records)
    return tuple(
        f"{run.name} was trained on other pictures than {best.name} ({len(_training_files(run.records)):,} against "
        f"{len(learned):,}): what sets them apart is not the model alone."
        for run in runs[1:]
        if _training_files(run.records) != learned
    )


def _training_files(records: RunRecords) -> frozenset[str]:
    return frozenset(row.file for row in records.split if row.side == "train")


def _cost(records: RunRecords, *, classic: bool) -> Cost:
    weights = records.folder / "model" / "model.safetensors"
    seconds = [epoch.seconds for epoch in records.history if epoch.seconds is not None]
    speeds = [epoch.images_per_second for epoch in records.history if epoch.images_per_second is not None]
    return Cost(
        parameters=None if classic or not weights.is_file() else count_parameters(weights),
        model_bytes=weights.stat().st_size if weights.is_file() else None,
        training_seconds=sum(seconds) if seconds else None,
        images_per_second=median(speeds) if speeds else None,
        precision=None if classic else _precision(records),
    )


def count_parameters(weights: Path) -> int:
    """How many numbers of a network's weights file were learned: not its input normalisation, not its statistics.

    Args:
        weights: A ``model.safetensors``; only its header is read.

    Raises:
        RunError: The file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy") as file:
            learned = [name for name in file.keys() if _is_learned(name)]  # noqa: SIM118  # it is no dictionary
            return sum(prod(file.get_slice(name).get_shape()) for name in learned)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{weights}: damaged or unreadable ({error})") from error


def _is_learned(name: str) -> bool:
    return not name.startswith("normalisation.") and not name.endswith(_STATISTICS)


def _precision(records: RunRecords) -> str | None:
    """The one that was chosen where the recipe left it open."""
    for choice in records.choices:
        if chosen := re.match(r"precision: (\w+) on ", choice):
            return chosen[1]
    asked = records.recipe.get("precision")
    return None if asked in (None, "auto") else str(asked)
