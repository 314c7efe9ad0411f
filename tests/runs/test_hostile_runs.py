"""Untrusted run folders: records are read, or refused with one line per fault."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import distingo
from distingo.errors import DistingoError, RunError
from distingo.runs.config import read_config
from distingo.runs.contents import read_run
from distingo.runs.evaluation import read_confidence, read_cost
from distingo.runs.folder import RunFolder
from distingo.training.request import read_recipe_file
from hostile_files import DEEP, VALUES, require_plain
from raising import raises
from tiny_datasets import draw_classes
from tiny_runs import copy_run


def read_everything(run: Path) -> None:
    folder = RunFolder(run)
    read_config(folder)
    read_recipe_file(folder.config)
    read_run(run)
    read_cost(folder.cost)
    read_confidence(run)


def test_three_hundred_hostile_values(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["descriptors"], tmp_path / "run")
    read_everything(run)
    rng, refused = random.Random(3), 0
    files = sorted(path for path in run.glob("*.json") if path.name != "check.json")
    assert {path.name for path in files} >= {"config.json", "evaluation.json", "confidence.json", "cost.json"}
    for number in range(300):
        path = files[number % len(files)]
        good = path.read_text(encoding="utf-8")
        level = content = json.loads(good)
        while True:
            key = rng.choice(sorted(level) if isinstance(level, dict) else range(len(level)))
            if level[key] and isinstance(level[key], dict | list) and rng.random() < 0.6:
                level = level[key]
            else:
                break
        level[key] = rng.choice(VALUES)
        path.write_text(DEEP if number % 50 == 0 else json.dumps(content), encoding="utf-8")
        try:
            read_everything(run)
        except DistingoError as error:
            refused += 1
            require_plain(error, lines=len(str(error).splitlines()))
        path.write_text(good, encoding="utf-8")
    assert refused > 100


@pytest.mark.parametrize("linked", ["evaluations", "evaluations/data"])
def test_a_run_with_a_packed_link_is_not_written_through(
    tiny_runs: dict[str, Path], tmp_path: Path, linked: str
) -> None:
    run, victim = copy_run(tiny_runs["majority"], tmp_path / "run"), tmp_path / "victim"
    victim.mkdir()
    (victim / "evaluation.json").write_bytes(b"mine")
    (run / linked).parent.mkdir(exist_ok=True)
    (run / linked).symlink_to(victim)
    data = draw_classes(tmp_path / "data", per_class=2)
    with raises(RunError, code="is_link") as caught:
        distingo.evaluate(run, data)
    assert str(caught.value) == f"{run}: '{linked}' is a link, through which nothing is written; remove the link"
    assert [(path.name, path.read_bytes()) for path in victim.iterdir()] == [("evaluation.json", b"mine")]
    (run / linked).unlink()
    distingo.evaluate(run, data)
    assert (run / "evaluations" / "data" / "evaluation.json").is_file()
