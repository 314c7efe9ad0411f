"""On real photos: what the engines answer, next to each other and next to the evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import distingo
from distingo.scores import Prediction

pytestmark = [pytest.mark.data, pytest.mark.slow]


def probabilities(predictions: list[Prediction], classes: tuple[str, ...]) -> np.ndarray:
    by_name = [dict(zip(each.labels, each.probabilities, strict=True)) for each in predictions]
    return np.array([[each[name] for name in classes] for each in by_name])


@pytest.mark.parametrize("options", [{}, {"mode": "finetune", "epochs": 2}], ids=["frozen", "finetune"])
def test_engines_agree_on_real_photos(real_data: Path, tmp_path: Path, options: dict[str, object]) -> None:
    weights = f"local-dir:{real_data / 'weights' / 'mobilenetv2_100.tf_in1k'}"
    run = distingo.train(real_data / "two-sports", tmp_path / "run", model=weights, **options)  # type: ignore[arg-type]
    rows = pq.read_table(run.path / "predictions.parquet").to_pylist()
    photos = [real_data / "two-sports" / row["file"] for row in rows]
    fast, torch = distingo.load(run.path), distingo.load(run.path, engine="torch")
    own = probabilities(fast.predict(photos), fast.classes)
    other = probabilities(torch.predict(photos), fast.classes)
    said = np.array([[row["probabilities"][name] for name in fast.classes] for row in rows])
    assert (own.argmax(1) == other.argmax(1)).mean() >= 0.98
    assert (own.argmax(1) == said.argmax(1)).mean() >= 0.98
    if not options:  # the features of a frozen backbone came from the same engine
        assert own == pytest.approx(said, abs=1e-6)
