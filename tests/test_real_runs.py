"""The whole command on real photographs as they come."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from distingo.cli import main


@pytest.mark.slow
@pytest.mark.data
def test_web_scraped_photos_train_without_a_hitch(real_data: Path, tmp_path: Path) -> None:
    words = ["--model", "small-cnn", "--image-size", "32", "--epochs", "2"]
    assert main(["train", str(real_data / "messy"), "-o", str(tmp_path / "run"), *words]) == 0
    rows = list(csv.DictReader((tmp_path / "run" / "manifest.csv").open(encoding="utf-8")))
    assert len(rows) == len({row["file"] for row in rows}) == 525
    statuses = Counter(row["status"] for row in rows)
    assert statuses["unusable"] == 12
    assert statuses["duplicate"] > 0
    assert statuses["conflict"] > 0
    split = list(csv.DictReader((tmp_path / "run" / "split.csv").open(encoding="utf-8")))
    assert len(split) == statuses["used"]
    content = {row["file"]: row["content"] for row in rows}
    assert len({content[row["file"]] for row in split}) == len(split)
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["n"] > 80


@pytest.mark.slow
@pytest.mark.data
def test_a_given_test_folder_stays_the_test_set(real_data: Path, tmp_path: Path) -> None:
    assert main(["train", str(real_data / "two-sports"), "-o", str(tmp_path / "run"), "--model", "descriptors"]) == 0
    split = list(csv.DictReader((tmp_path / "run" / "split.csv").open(encoding="utf-8")))
    for row in split:
        assert (row["side"] == "test") == row["file"].startswith("test/")
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["baselines"].keys() == {"majority"}
