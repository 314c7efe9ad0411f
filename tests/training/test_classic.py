"""Models without epochs are fitted to the targets that suit them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distingo.errors import UsageError
from distingo.models.saved import ModelDescription, load_model, save_model
from distingo.training.baselines import fit_classic
from raising import raises

FEATURES = np.zeros((4, 5), np.float32)
ONE, SEVERAL = np.array([0, 1, 1, 1]), np.array([[1, 0], [0, 0], [1, 1], [0, 0]], dtype=bool)


def test_prevalence_is_fitted_saved_and_read_again(tmp_path: Path) -> None:
    description = ModelDescription("prevalence", "classic", "multi-label", ("a", "b"))
    save_model(tmp_path, fit_classic(description, (FEATURES, SEVERAL), (FEATURES, SEVERAL), seed=0))
    classic = load_model(tmp_path).classic
    assert classic is not None
    np.testing.assert_array_equal(classic.predict_probabilities(FEATURES), [[0.5, 0.25]] * 4)


@pytest.mark.parametrize(
    ("name", "targets"),
    [("prevalence", ONE), ("majority", SEVERAL)],
)
def test_a_floor_for_the_other_task_is_refused(name: str, targets: np.ndarray) -> None:
    description = ModelDescription(name, "classic", "single-label", ("a", "b"))
    with raises(UsageError, code="option_not_applicable", parameter="model"):
        fit_classic(description, (FEATURES, targets), (FEATURES, targets), seed=0)
