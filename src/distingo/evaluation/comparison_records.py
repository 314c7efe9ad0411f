"""Records of a comparison between runs, including the cost of each run, and ``comparison.json``."""

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
from distingo.runs.contents import RunRecords
from distingo.runs.evaluation import RunCost, read_cost
from distingo.runs.folder import FORMAT, RunFolder
from distingo.scores import Evaluation, Score

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
"""Suffixes of batch normalization statistics, which are not learned."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Time, memory and size of a run's model; values that were not recorded are None.

    Attributes:
        parameters: Number of learned parameters of a network; None for a classic model.
        model_bytes: Size of ``model.safetensors`` in bytes.
        training_seconds: Time from the images to the saved model; for runs of older versions the sum over epochs.
        reading_seconds: The part spent on reading images, which is less if they were cached.
        training_images_per_second: Median over epochs of training images/s.
        training_memory_bytes: Peak memory of the process during training.
        device_memory_bytes: Peak memory of tensors on an accelerator.
        images_per_second: Images/s at prediction, including decoding.
        predicted_images: Number of images in that measurement.
        predicted_seconds: Duration of that measurement.
        prediction_memory_bytes: Peak memory of the process during evaluation on the test split.
        precision: Precision of the network, for example ``float32``.
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
    """Collect the cost of a run.

    Args:
        run: A finished run.
        classic: Whether its model is a classic model instead of a network.

    Raises:
        RunError: The weights or ``cost.json`` are damaged.
    """
    folder = RunFolder(run.folder)
    weights = folder.model / "model.safetensors"
    cost = read_cost(folder.cost)
    training, prediction = cost.training, cost.prediction
    speeds = [epoch.images_per_second for epoch in run.history if epoch.images_per_second is not None]
    return Cost(
        parameters=None if classic or not weights.is_file() else count_parameters(weights),
        model_bytes=weights.stat().st_size if weights.is_file() else None,
        training_seconds=_training_seconds(run, cost),
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
    """Count the learned parameters in a weights file, without input normalization and batch statistics.

    Args:
        weights: A ``model.safetensors``; only its header is read.

    Raises:
        RunError: The file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy") as file:
            learned = [name for name in file.keys() if _is_learned(name)]  # noqa: SIM118  # not a dictionary
            return sum(prod(file.get_slice(name).get_shape()) for name in learned)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{weights}: damaged or unreadable ({error})", code="damaged_file") from error


def _is_learned(name: str) -> bool:
    return not name.startswith("normalisation.") and not name.endswith(_STATISTICS)


def _training_seconds(run: RunRecords, cost: RunCost) -> float | None:
    if cost.training is not None:
        return cost.training.seconds
    seconds = [epoch.seconds for epoch in run.history if epoch.seconds is not None]
    return sum(seconds) if seconds else None


_PRECISION_IN_0_1 = r"precision: (\w+) on "
"""Pattern of the sentence with the precision in runs of version 0.1."""


def _precision(run: RunRecords) -> str | None:
    """The precision that was chosen automatically, otherwise the one in the recipe."""
    for choice in run.choices:
        if choice.code == "precision":
            return str(choice.values["precision"])
        if match := re.match(_PRECISION_IN_0_1, str(choice.values.get("text", ""))):
            return match[1]
    requested = run.recipe.get("precision")
    return None if requested in (None, "auto") else str(requested)


COMPARISON_JSON = "comparison.json"

COMPARISON_PAGE = "comparison.html"

_SAME = 1e-12
"""Tolerance for equal scores, which may differ by rounding."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: Name of the run folder, with as many parent folders as make it unique.
        model: Name of the model.
        mode: ``scratch``, ``frozen`` or ``finetune``; ``classic`` for a classic model.
        records: Contents of the run folder.
        evaluation: Scores on the test split.
        cost: Time, memory and size.
        versus_best: Comparison with the best run; None for the best run itself.
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
        task: ``single-label`` or ``multi-label``.
        score: Name of the score that ranks the runs.
        n: Number of test images.
        runs: The runs, the best first.
        baselines: Scores by model name and score name, without models that are among the runs.
        notes: Notes on the validity of the comparison.
        seeds: Names of the runs of one recipe with different seeds, one group per such recipe.
        recipes: Single-label: comparisons of recipes with the best one, for recipes with several runs.
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
        """The run with the highest score, which the others are compared with; on a tie the first one of `tied`."""
        return self.runs[0]

    @property
    def tied(self) -> tuple[ComparedRun, ...]:
        """The runs that share the highest score; empty if one run is ahead."""
        highest = self.best.evaluation.scores[self.score].value
        first = tuple(run for run in self.runs if run.evaluation.scores[self.score].value >= highest - _SAME)
        return first if len(first) > 1 else ()


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write ``comparison.json``, the best run first.

    Args:
        comparison: The comparison to write.
        folder: Target folder, created if missing.

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
    """Relative path of `target` from `folder`, with forward slashes."""
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
