from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from distingo.models.evidence import Calibration


def test_the_order_of_classes_stays() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7))
    calibrated = Calibration(0.3, (0.0,) * 7).apply(logits)
    np.testing.assert_array_equal(calibrated.argsort(axis=1), logits.argsort(axis=1))
    np.testing.assert_allclose(Calibration(2.0, (1.0, -1.0)).apply(np.ones((1, 2))), [[3, 1]])


def test_it_comes_back_from_json() -> None:
    calibration = Calibration(1.5, (0.25, -0.5))
    assert Calibration.from_json(asdict(calibration)) == calibration
    assert Calibration.from_json(None) is None
    with pytest.raises(ValueError, match="slope is 0"):
        Calibration.from_json({"slope": 0, "offsets": []})
