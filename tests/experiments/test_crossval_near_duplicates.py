"""Near-duplicates in a cross-validation: kept on one fold, or counted, and recorded."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

from PIL import Image
from scenes import draw_scene

import distingo
from distingo.runs.data import NearDuplicateCounts, read_counts
from note_texts import texts

TURNS = tuple(Image.Transpose)


def draw(root: Path) -> Path:
    """Two classes of 10 scenes each, with a turned copy of every one."""
    for label in range(2):
        folder = root / f"class {label}"
        folder.mkdir(parents=True)
        for number in range(10):
            scene = draw_scene(100 * label + number, 96)
            scene.save(folder / f"{number:02}-0.png")
            scene.transpose(TURNS[number % 7]).save(folder / f"{number:02}-1.png")
    return root


def torn(folds: Path) -> int:
    """Scenes whose two images are on two folds."""
    scenes: dict[str, set[str]] = {}
    with folds.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            scenes.setdefault(row["file"].rpartition("-")[0], set()).add(row["fold"])
    return sum(len(each) > 1 for each in scenes.values())


def test_what_was_searched_and_found_is_recorded_and_shown(tmp_path: Path) -> None:
    data, cache = draw(tmp_path / "data"), tmp_path / "cache"
    found = distingo.crossval(data, tmp_path / "cv", model="majority", folds=2, repeats=2, cache=cache)
    counts = read_counts(tmp_path / "cv" / "near_duplicates.json")
    assert counts is not None
    assert replace(counts, files=()) == NearDuplicateCounts(
        images=40,
        searched=40,
        similarity=0.8,
        smallest_side=32,
        symmetries=8,
        pairs=20,
        groups=20,
        grouped=40,
        largest=2,
        divided_by="distingo",
    )
    assert len(counts.files) == 20
    assert found.near_duplicates == counts
    assert (torn(tmp_path / "cv" / "folds.csv"), torn(tmp_path / "cv" / "folds-2.csv")) == (0, 0)
    written = json.loads((tmp_path / "cv" / "crossval.json").read_text(encoding="utf-8"))
    assert (written["near_duplicates"]["pairs"], "files" in written["near_duplicates"]) == (20, False)
    said = "ear-duplicates were searched for among 40 images, turned and mirrored too, from a similarity of 0.8 on"
    assert any(said in choice for choice in texts(found.choices))
    assert f"N{said}; pairs: 20" in (tmp_path / "cv" / "crossval.html").read_text(encoding="utf-8")
    assert distingo.crossval(None, tmp_path / "cv", resume=True, cache=cache).near_duplicates == counts


def test_pairs_that_a_split_file_puts_on_two_folds_are_counted(tmp_path: Path) -> None:
    data, cache = draw(tmp_path / "data"), tmp_path / "cache"
    distingo.split(data, tmp_path / "folds.csv", folds=2, near_duplicates=None, burst=None, cache=cache)
    expected = torn(tmp_path / "folds.csv")
    assert expected > 2
    found = distingo.crossval(data, tmp_path / "cv", model="majority", split=tmp_path / "folds.csv", cache=cache)
    assert found.near_duplicates is not None
    counts = found.near_duplicates
    assert (counts.pairs, counts.straddling_pairs, counts.straddling_groups) == (20, expected, expected)
    assert counts.divided_by == "split-file"
    assert f"on two folds, so the scores are too high: {expected} pairs" in (tmp_path / "cv/crossval.html").read_text()


def test_small_images_and_none_are_not_searched(tmp_path: Path) -> None:
    data, cache = draw(tmp_path / "data"), tmp_path / "cache"
    off = distingo.crossval(data, tmp_path / "off", model="majority", near_duplicates=None, folds=2, cache=cache)
    assert off.near_duplicates == NearDuplicateCounts(images=40, not_searched="off", smallest_side=32)
    for path in data.rglob("*.png"):
        Image.open(path).resize((28, 28)).save(path)
    small = distingo.crossval(data, tmp_path / "small", model="majority", folds=2, cache=cache)
    assert small.near_duplicates == NearDuplicateCounts(images=40, not_searched="small-images", smallest_side=32)
