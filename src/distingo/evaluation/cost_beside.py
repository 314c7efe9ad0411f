"""What a finished run costs, from what it wrote down and what its folder holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median

from distingo.errors import RunError
from distingo.evaluation.reading import RunRecords
from distingo.run_cost import RunCost, read_cost
from distingo.run_folder import RunFolder

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
"""What batch normalisation counts rather than learns."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run's model costs; what a run does not tell is None.

    Attributes:
        parameters: How many numbers a network learned; None for a classic model.
        model_bytes: Size of ``model.safetensors``.
        training_seconds: From the pictures to the saved model; of a run of an older distingo all epochs together.
        reading_seconds: The part of it that read the pictures, less where the cache held them.
        training_images_per_second: Median over epochs of training pictures per second.
        training_memory_bytes: The most memory that the process held while it trained.
        device_memory_bytes: The most that tensors held on an accelerator.
        images_per_second: Pictures named per second at prediction, decoding included.
        predicted_pictures: How many that speed was measured on.
        predicted_seconds: For how long.
        prediction_memory_bytes: The most memory that the process held while it judged the test side.
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
    predicted_pictures: int | None = None
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
        predicted_pictures=prediction.pictures if prediction else None,
        predicted_seconds=prediction.seconds if prediction else None,
        prediction_memory_bytes=prediction.peak_memory_bytes if prediction else None,
        precision=None if classic else _precision(run),
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


def _training_seconds(run: RunRecords, measured: RunCost) -> float | None:
    if measured.training is not None:
        return measured.training.seconds
    seconds = [epoch.seconds for epoch in run.history if epoch.seconds is not None]
    return sum(seconds) if seconds else None


def _precision(run: RunRecords) -> str | None:
    """The one that was chosen where the recipe left it open."""
    for choice in run.choices:
        if chosen := re.match(r"precision: (\w+) on ", choice):
            return chosen[1]
    asked = run.recipe.get("precision")
    return None if asked in (None, "auto") else str(asked)
