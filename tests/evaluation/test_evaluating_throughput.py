"""How fast a model predicts, measured within a second or so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.evaluation import evaluating as throughput
from distingo.evaluation.evaluating import measure_throughput
from distingo.models.saved import load_model
from distingo.prediction import predictor
from distingo.records import Dataset
from distingo.runs import evaluation as run_cost


@pytest.fixture
def dataset(tiny_runs: dict[str, Path], tmp_path: Path) -> Dataset:
    return read_dataset(tiny_runs["majority"].parent / "colours", Reading(cache=Cache(tmp_path / "cache")), products=[])


def test_it_is_as_fast_as_what_it_measures(
    tiny_runs: dict[str, Path], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that takes 10 milliseconds for each image, by a clock that nothing else moves."""
    found, elapsed = predictor.Predictor.preprocess, [0.0]

    def slowly(self: predictor.Predictor, image: object) -> object:
        elapsed[0] += 0.01
        return found(self, image)

    monkeypatch.setattr(predictor.Predictor, "preprocess", slowly)
    monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: elapsed[0]))
    monkeypatch.setattr(run_cost, "MEASURED_SECONDS", 0.5)
    cost = measure_throughput(load_model(tiny_runs["small-cnn"] / "model"), dataset.images[:3])
    assert cost is not None
    assert cost.images_per_second == pytest.approx(100)
    assert cost.images == 51  # three at a time, again from the first, until the time is up
    assert cost.seconds == pytest.approx(0.51)


def test_images_that_are_gone_leave_no_figure(tiny_runs: dict[str, Path], dataset: Dataset, tmp_path: Path) -> None:
    model = load_model(tiny_runs["majority"] / "model")
    assert measure_throughput(model, ()) is None
    assert measure_throughput(model, dataset.images[:3]) is not None
    for image in dataset.images[:3]:
        hidden = tmp_path / image.source.path.name
        image.source.path.rename(hidden)
        try:
            assert measure_throughput(model, [image]) is None
        finally:
            hidden.rename(image.source.path)
