"""Images far from the bank are told, in one thread, and BLAS has its threads back afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_info

from distingo.models.reference_data import build_bank
from distingo.prediction.predictor import OutOfDistributionDetector


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_those_above_the_distance_are_strangers() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(50, 8)).astype(np.float32)
    bank = build_bank(features, tuple(f"{at:032x}" for at in range(50)), unit=True)
    asked = random.normal(size=(200, 8)).astype(np.float32)
    distances = bank.distances(asked)
    cut = float(np.median(distances))
    finder = OutOfDistributionDetector(bank, cut)
    before = blas_threads()
    assert np.array_equal(finder.find(asked), distances > cut)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda at: finder.find(asked[at : at + 5]), range(0, 200, 5)))
    assert np.array_equal(np.concatenate(parts), distances > cut)
    assert blas_threads() == before
