"""The whole command on real photographs as they come."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import distingo
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
        assert (row["split"] == "test") == row["file"].startswith("test/")
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["baselines"].keys() == {"majority"}


@pytest.mark.slow
@pytest.mark.data
def test_aerial_images_in_12_bits_are_worth_what_they_are_in_8(real_data: Path, tmp_path: Path) -> None:
    for form, convert in (("8", np.uint8), ("12", lambda gray: np.rint(gray * (4095 / 255)).astype(np.uint16))):
        for folder in sorted(path for path in (real_data / "aerial").iterdir() if path.is_dir()):
            (tmp_path / form / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:20]:
                gray = np.asarray(Image.open(path).convert("L").resize((128, 128)))
                Image.fromarray(convert(gray)).save(tmp_path / form / folder.name / f"{path.stem}.png")
    scores = []
    for form in ("8", "12"):
        run = distingo.train(tmp_path / form, tmp_path / f"run {form}", model="descriptors", cache=tmp_path / "cache")
        scores.append({name: score.value for name, score in run.evaluation.scores.items()})
    assert scores[0] == scores[1]
    assert scores[0]["accuracy"] > 0.3  # guessing has 0.14
    model = json.loads((tmp_path / "run 12/model/model.json").read_text(encoding="utf-8"))
    assert model["value_ranges"] == {"unsigned": [0.0, 4095.0]}
