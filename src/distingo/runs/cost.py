"""``cost.json``: duration and memory of training, and the speed of prediction."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from distingo.files import write_json
from distingo.runs.fields import read_record
from distingo.runs.folder import FORMAT

MEASURED_SECONDS = 2.0
"""Minimum duration of a speed measurement in seconds, after the warm-up."""


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """Cost of training a model, without its baselines and its evaluation.

    Peak memory is that of the process, so that a run may report the peak of an earlier run in the same process.

    Attributes:
        reading_seconds: Time to find, decode and split the images and to compute a frozen backbone's features; short
            if the cache has them from earlier runs.
        fitting_seconds: Time from the initial weights to the saved model, including thresholds. For an interrupted run,
            only finished epochs count.
        peak_memory_bytes: Peak memory of the process; None if the system does not report it.
        device_memory_bytes: Peak memory of tensors on an accelerator; None without one.
        resumed: Whether the run was interrupted and resumed.
    """

    reading_seconds: float
    fitting_seconds: float
    peak_memory_bytes: int | None
    device_memory_bytes: int | None
    resumed: bool

    @property
    def seconds(self) -> float:
        """Total time of reading and fitting."""
        return self.reading_seconds + self.fitting_seconds


@dataclass(frozen=True, slots=True)
class PredictionCost:
    """Speed of prediction from files to labels, in one process.

    Attributes:
        images_per_second: Throughput of decoding, resizing and the model together.
        images: Number of predictions in the measurement; few images are predicted repeatedly.
        seconds: Duration of the measurement.
        device: The device of the network.
        precision: The floating-point format of the network.
        peak_memory_bytes: Peak memory of the process while it evaluated the test split.
    """

    images_per_second: float
    images: int
    seconds: float
    device: str
    precision: str
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class RunCost:
    """The content of ``cost.json``; None for parts that have not been measured."""

    training: TrainingCost | None = None
    prediction: PredictionCost | None = None


def read_cost(path: Path) -> RunCost:
    """Read ``cost.json``; an empty record if there is none, as in runs of older versions.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    if not path.exists():
        return RunCost()
    return read_record(path, RunCost, advice="move it away, and `distingo evaluate` measures again")


def write_cost(path: Path, **found: TrainingCost | PredictionCost) -> None:
    """Write ``training`` or ``prediction`` to ``cost.json`` and keep the other part."""
    cost = replace(read_cost(path), **found)  # type: ignore[arg-type]
    sections = {name: section for name, section in asdict(cost).items() if section is not None}
    write_json(path, {"format": FORMAT, **sections})
