from __future__ import annotations

from dataclasses import asdict

import msgspec
import numpy as np
import pytest

from distingo.models.evidence import Calibration
from distingo.runs.fields import CalibrationFields, to_record


def test_the_order_of_classes_stays() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7))
    calibrated = Calibration(0.3, (0.0,) * 7).apply(logits)
    np.testing.assert_array_equal(calibrated.argsort(axis=1), logits.argsort(axis=1))
    np.testing.assert_allclose(Calibration(2.0, (1.0, -1.0)).apply(np.ones((1, 2))), [[3, 1]])


def test_it_comes_back_from_json_and_its_slope_is_above_0() -> None:
    calibration = Calibration(1.5, (0.25, -0.5))
    assert to_record(msgspec.convert(asdict(calibration), CalibrationFields), Calibration) == calibration
    with pytest.raises(msgspec.ValidationError, match="slope"):
        msgspec.convert({"slope": 0, "offsets": []}, CalibrationFields)
