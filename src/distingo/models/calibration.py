"""The calibration that a finished model's logits go through before they become probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slope and offsets, fitted on validation once training is done.

    One label per picture: temperature scaling (Guo et al., On calibration of modern neural networks, 2017), the slope
    being one over the temperature and offsets 0, so that the order of the classes stays as it is. Several labels:
    Platt scaling (Platt 1999) with an offset for each label and one slope for all, so that rare labels borrow.

    Attributes:
        slope: Above 0; logits are multiplied by it.
        offsets: One per class, added afterwards.
    """

    slope: float
    offsets: tuple[float, ...]

    def apply(self, logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Calibrated logits, float64 (n, classes), of logits of that shape."""
        calibrated: npt.NDArray[np.float64] = self.slope * logits.astype(np.float64) + np.asarray(self.offsets)
        return calibrated

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> Self | None:
        """Read back what ``dataclasses.asdict`` made; None stays None.

        Raises:
            KeyError: A part is missing.
            TypeError: A part is of another type.
            ValueError: The slope is not above 0.
        """
        if content is None:
            return None
        calibration = cls(float(content["slope"]), tuple(float(offset) for offset in content["offsets"]))
        if not calibration.slope > 0:
            raise ValueError(f"a calibration whose slope is {calibration.slope}")
        return calibration
