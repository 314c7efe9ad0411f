"""What training takes, measured while it goes on."""

from __future__ import annotations

import csv
import logging
import time
from pathlib import Path

import torch

from distingo.errors import RunError
from distingo.files import require_intact
from distingo.peak_memory import forget_peak_memory, peak_memory
from distingo.run_cost import TrainingCost

log = logging.getLogger("distingo")


class TrainingClock:
    """Starts when it is made.

    Args:
        history: ``history.csv`` of the run.
        resumed: Whether epochs of an earlier process count.
    """

    def __init__(self, history: Path, *, resumed: bool) -> None:
        self._resumed = resumed
        self._earlier = _seconds_of_epochs(history) if resumed else 0.0
        forget_peak_memory()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._started = self._read = time.perf_counter()

    def reading_is_done(self) -> None:
        """From now on the model is fitted."""
        self._read = time.perf_counter()

    def cost(self, device: torch.device) -> TrainingCost:
        """What it took until now.

        Args:
            device: Where the model was fitted.
        """
        return TrainingCost(
            reading_seconds=round(self._read - self._started, 3),
            fitting_seconds=round(time.perf_counter() - self._read + self._earlier, 3),
            peak_memory_bytes=peak_memory(),
            device_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
            resumed=self._resumed,
        )


def _seconds_of_epochs(history: Path) -> float:
    if not history.is_file():
        return 0.0
    try:
        require_intact(history)
    except RunError as error:
        log.warning("%s; what earlier epochs took is not counted", error)
        return 0.0
    with history.open(encoding="utf-8", newline="") as file:
        return sum(float(row.get("seconds") or 0) for row in csv.DictReader(file))
