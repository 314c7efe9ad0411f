"""Which pictures are unlike anything in training, asked again and again."""

from __future__ import annotations

from threading import Lock

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from distingo.models.feature_bank import FeatureBank


class StrangerFinder:
    """Tells pictures that lie farther from a bank than pictures like those of training do; safe in several threads.

    Args:
        bank: Of training pictures.
        unlike_from: The distance above which a picture is unlike them.
    """

    def __init__(self, bank: FeatureBank, unlike_from: float) -> None:
        self._bank = bank.widened()
        self._unlike_from = unlike_from
        self._libraries = ThreadpoolController()
        self._lock = Lock()

    def find(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which of some pictures are unlike training.

        Args:
            features: Float (n, features), as the model gives them.

        Returns:
            bool (n,).
        """
        # BLAS in several threads leaves them waiting at full speed, on the cores that the network needs: a fifth of all
        # the time that predicting takes
        with self._lock, self._libraries.limit(limits=1, user_api="blas"):
            distances = self._bank.distances(features)
        return np.asarray(distances > self._unlike_from, np.bool_)
