"""A pixel limit given to a training is the limit of all that reads on that run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import distingo
from distingo.errors import RunError, UsageError
from distingo.runs.folder import RunFolder
from raising import raises

LARGE = 40 * 50
"""Pixels of one image of class ``a``; all others have 30 x 30."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir()
        for number in range(10):
            size = (50, 40) if (name, number) == ("a", 0) else (30, 30)
            pixels = generator.integers(0, 256, (*size[::-1], 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def used(run: Path) -> int:
    with (run / "manifest.csv").open(encoding="utf-8") as file:
        return sum(row["status"] == "used" for row in csv.DictReader(file))


def test_what_reads_on_a_run_reads_by_its_limit(tmp_path: Path, data: Path) -> None:
    cache = tmp_path / "cache"
    run = distingo.train(data, tmp_path / "run", model="descriptors", max_pixels=LARGE - 1, cache=cache).path
    assert json.loads((run / "config.json").read_text())["max_pixels"] == LARGE - 1
    assert used(run) == 19
    large = data / "a" / "0.png"
    assert "1,999" in distingo.load(run).predict(large)[0].error
    assert not distingo.load(run, max_pixels=LARGE).predict(large)[0].error
    assert not distingo.load(run).predict(data / "a" / "1.png")[0].error
    distingo.evaluate(run, cache=cache)  # its split.csv names no image that is read as unusable now
    distingo.evaluate(run, data, cache=cache)
    assert used(RunFolder(run).evaluation_of(data)) == 19
    distingo.evaluate(run, data, cache=cache, max_pixels=LARGE)
    assert used(RunFolder(run).evaluation_of(data)) == 20


def test_a_run_is_repeated_and_resumed_by_its_limit(tmp_path: Path, data: Path) -> None:
    cache = tmp_path / "cache"
    run = distingo.train(data, tmp_path / "run", model="descriptors", max_pixels=LARGE - 1, cache=cache).path
    again = distingo.train(config=run / "config.json", output=tmp_path / "again", cache=cache).path
    assert used(again) == 19
    wider = distingo.train(config=run / "config.json", output=tmp_path / "w", max_pixels=LARGE, cache=cache).path
    assert (used(wider), json.loads((wider / "config.json").read_text())["max_pixels"]) == (20, LARGE)
    assert distingo.train(output=run, resume=True, cache=cache).path == run
    with raises(UsageError, code="changed_options", parameter="max_pixels"):
        distingo.train(output=run, resume=True, max_pixels=LARGE, cache=cache)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "max_pixels": "many"}))
    for read in (distingo.load, distingo.evaluate):
        with raises(RunError, code="damaged_file", naming="max_pixels"):
            read(run)


def test_without_a_limit_none_is_recorded(tmp_path: Path, data: Path) -> None:
    run = distingo.train(data, tmp_path / "run", model="descriptors", cache=tmp_path / "cache").path
    assert "max_pixels" not in json.loads((run / "config.json").read_text())
    assert used(run) == 20
    with raises(UsageError, code="changed_options", parameter="max_pixels"):
        distingo.train(output=run, resume=True, max_pixels=LARGE, cache=tmp_path / "cache")
