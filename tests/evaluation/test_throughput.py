"""How fast a model predicts, measured within a second or so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from distingo import run_cost
from distingo.datasets.gathering import read_dataset
from distingo.datasets.store import Cache
from distingo.evaluation.throughput import measure_throughput
from distingo.models.saved import load_model
from distingo.prediction import predictor
from distingo.records import Dataset


@pytest.fixture
def dataset(tiny_runs: dict[str, Path], tmp_path: Path) -> Dataset:
    return read_dataset(tiny_runs["majority"].parent / "colours", cache=Cache(tmp_path / "cache"), products=[])


def test_it_is_as_fast_as_what_it_measures(
    tiny_runs: dict[str, Path], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is made slow on purpose: 10 milliseconds more for each picture."""
    found = predictor.Predictor.look_at

    def slowly(self: predictor.Predictor, image: object) -> object:
        time.sleep(0.01)
        return found(self, image)

    monkeypatch.setattr(predictor.Predictor, "look_at", slowly)
    monkeypatch.setattr(run_cost, "MEASURED_SECONDS", 0.5)
    started = time.perf_counter()
    cost = measure_throughput(load_model(tiny_runs["small-cnn"] / "model"), dataset.pictures[:3])
    assert cost is not None
    assert cost.images_per_second < 100
    assert cost.seconds < time.perf_counter() - started
    assert cost.seconds >= 0.5
    assert cost.pictures > 3  # again from the first, until the time is up
    assert cost.images_per_second == pytest.approx(cost.pictures / cost.seconds, abs=0.01)


def test_pictures_that_are_gone_leave_no_figure(tiny_runs: dict[str, Path], dataset: Dataset, tmp_path: Path) -> None:
    model = load_model(tiny_runs["majority"] / "model")
    assert measure_throughput(model, ()) is None
    assert measure_throughput(model, dataset.pictures[:3]) is not None
    for picture in dataset.pictures[:3]:
        hidden = tmp_path / picture.source.path.name
        picture.source.path.rename(hidden)
        try:
            assert measure_throughput(model, [picture]) is None
        finally:
            hidden.rename(picture.source.path)
