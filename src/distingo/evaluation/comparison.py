"""The records of a comparison between runs, and ``comparison.json``.

What a finished run costs, from what it wrote down and what its folder holds.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from statistics import median

from distingo.errors import RunError
from distingo.evaluation.pairing import ComparedRecipes, VersusBest
from distingo.files import write_json
from distingo.messages.notes import Note
from distingo.records import Evaluation, Score
from distingo.runs.contents import RunRecords
from distingo.runs.cost import RunCost, read_cost
from distingo.runs.folder import FORMAT, RunFolder

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
"""What batch normalization counts rather than learns."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run's model costs; what a run does not tell is None.

    Attributes:
        parameters: How many numbers a network learned; None for a classic model.
        model_bytes: Size of ``model.safetensors``.
        training_seconds: From the images to the saved model; of a run of an older distingo all epochs together.
        reading_seconds: The part of it that read the images, less where the cache held them.
        training_images_per_second: Median over epochs of training images per second.
        training_memory_bytes: The most memory that the process held while it trained.
        device_memory_bytes: The most that tensors held on an accelerator.
        images_per_second: Images named per second at prediction, decoding included.
        predicted_images: How many that speed was measured on.
        predicted_seconds: For how long.
        prediction_memory_bytes: The most memory that the process held while it evaluated the test split.
        precision: What networks were computed in, for example ``float32``.
    """

    parameters: int | None = None
    model_bytes: int | None = None
    training_seconds: float | None = None
    reading_seconds: float | None = None
    training_images_per_second: float | None = None
    training_memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    images_per_second: float | None = None
    predicted_images: int | None = None
    predicted_seconds: float | None = None
    prediction_memory_bytes: int | None = None
    precision: str | None = None


def cost_of(run: RunRecords, *, classic: bool) -> Cost:
    """Gather what a run costs.

    Args:
        run: A finished one.
        classic: Whether its model is no network.

    Raises:
        RunError: Its weights or its ``cost.json`` are damaged.
    """
    folder = RunFolder(run.folder)
    weights = folder.model / "model.safetensors"
    measured = read_cost(folder.cost)
    training, prediction = measured.training, measured.prediction
    speeds = [epoch.images_per_second for epoch in run.history if epoch.images_per_second is not None]
    return Cost(
        parameters=None if classic or not weights.is_file() else count_parameters(weights),
        model_bytes=weights.stat().st_size if weights.is_file() else None,
        training_seconds=_training_seconds(run, measured),
        reading_seconds=training.reading_seconds if training else None,
        training_images_per_second=median(speeds) if speeds else None,
        training_memory_bytes=training.peak_memory_bytes if training else None,
        device_memory_bytes=training.device_memory_bytes if training else None,
        images_per_second=prediction.images_per_second if prediction else None,
        predicted_images=prediction.images if prediction else None,
        predicted_seconds=prediction.seconds if prediction else None,
        prediction_memory_bytes=prediction.peak_memory_bytes if prediction else None,
        precision=None if classic else _precision(run),
    )


def count_parameters(weights: Path) -> int:
    """How many numbers of a network's weights file were learned: not its input normalization, not its statistics.

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
        raise RunError(f"{weights}: damaged or unreadable ({error})", code="damaged_file") from error


def _is_learned(name: str) -> bool:
    return not name.startswith("normalisation.") and not name.endswith(_STATISTICS)


def _training_seconds(run: RunRecords, measured: RunCost) -> float | None:
    if measured.training is not None:
        return measured.training.seconds
    seconds = [epoch.seconds for epoch in run.history if epoch.seconds is not None]
    return sum(seconds) if seconds else None


_PRECISION_IN_0_1 = r"precision: (\w+) on "
"""How runs of version 0.1 begin the sentence that says the precision."""


def _precision(run: RunRecords) -> str | None:
    """The one that was chosen where the recipe left it open."""
    for choice in run.choices:
        if choice.code == "precision":
            return str(choice.values["precision"])
        if chosen := re.match(_PRECISION_IN_0_1, str(choice.values.get("text", ""))):
            return chosen[1]
    asked = run.recipe.get("precision")
    return None if asked in (None, "auto") else str(asked)


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
        evaluation: Its scores on the test split.
        cost: Time, memory and size.
        versus_best: Next to the best run; None for the best itself.
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
    """Finished runs that were evaluated on the same images.

    Attributes:
        task: One label per image, or several.
        score: Name of the score that decides which run is best.
        n: How many test images there are.
        runs: The best first.
        baselines: By model name, then by score name; none that is among the runs.
        notes: What a reader should know before trusting the comparison.
        seeds: Names of runs that are one recipe with other seeds, a group for each such recipe.
        recipes: With one label per image, recipes next to the best one by all their runs, where there are several.
    """

    task: str
    score: str
    n: int
    runs: tuple[ComparedRun, ...]
    baselines: dict[str, dict[str, Score]]
    notes: tuple[Note, ...]
    seeds: tuple[tuple[str, ...], ...] = ()
    recipes: tuple[ComparedRecipes, ...] = ()

    def __repr__(self) -> str:
        best = f"best {self.best.name!r} with {self.score} {self.best.evaluation.scores[self.score]:.4g}"
        return f"Comparison({len(self.runs)} runs, n={self.n}, {best})"

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
        "notes": [asdict(each) for each in comparison.notes],
    }
    write_json(path, content)
    return path


def _run_as_json(run: ComparedRun, folder: Path) -> dict[str, object]:
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
