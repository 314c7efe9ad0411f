"""``cost.json``: how long training took, and how fast the model predicts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from distingo.files import write_json
from distingo.runs.fields import read_record
from distingo.runs.folder import FORMAT

MEASURED_SECONDS = 2.0
"""For how long a speed is measured at least, after what is done only once."""


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """What it took to get a model, its baselines and its evaluation left out.

    A process keeps the memory that it freed, so of runs that were trained one after another in one process the later
    ones may tell of the earlier ones' peak.

    Attributes:
        reading_seconds: Finding, decoding and splitting the images, with a frozen backbone's features of them; what
            earlier runs left in the cache costs almost nothing.
        fitting_seconds: From the first weights to the saved model, thresholds included. Of an interrupted run all
            finished epochs count, what was lost does not.
        peak_memory_bytes: The most memory that the process held; None where the system does not tell.
        device_memory_bytes: The most that tensors held on an accelerator; None without one.
        resumed: Whether the run was interrupted and taken up again.
    """

    reading_seconds: float
    fitting_seconds: float
    peak_memory_bytes: int | None
    device_memory_bytes: int | None
    resumed: bool

    @property
    def seconds(self) -> float:
        """Reading and fitting together."""
        return self.reading_seconds + self.fitting_seconds


@dataclass(frozen=True, slots=True)
class PredictionCost:
    """How fast the model predicts, from the files to the labels, in one process.

    Attributes:
        images_per_second: Decoding, resizing and the model together.
        images: How many the measurement rests on; where there are few, each counts as often as it was predicted.
        seconds: How long it took.
        device: Where a network computed.
        precision: In which numbers.
        peak_memory_bytes: The most memory that the process held while it evaluated the test split.
    """

    images_per_second: float
    images: int
    seconds: float
    device: str
    precision: str
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class RunCost:
    """What is known of a run's cost so far."""

    training: TrainingCost | None = None
    prediction: PredictionCost | None = None


def read_cost(path: Path) -> RunCost:
    """Read ``cost.json``; a run of an older distingo has none.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    if not path.exists():
        return RunCost()
    return read_record(path, RunCost, advice="move it away, and `distingo evaluate` measures again")


def write_cost(path: Path, **found: TrainingCost | PredictionCost) -> None:
    """Write ``training`` or ``prediction``, and leave the other as it was."""
    cost = replace(read_cost(path), **found)  # type: ignore[arg-type]
    sections = {name: section for name, section in asdict(cost).items() if section is not None}
    write_json(path, {"format": FORMAT, **sections})
