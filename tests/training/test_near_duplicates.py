"""Near-duplicates in training: kept on one split, counted, recorded, and repeated."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scenes import draw_scene

import distingo
from distingo.errors import UsageError
from distingo.near_duplicates.keeping import describe_counts, resolve_similarity
from distingo.runs.data import NearDuplicateCounts, read_counts
from raising import raises

TURNS = tuple(Image.Transpose)


def draw(root: Path, *, splits: tuple[str, ...] = ("",)) -> Path:
    """Two classes of 16 scenes each, all but two of them with a turned copy."""
    for label in range(2):
        for number in range(16):
            scene = draw_scene(100 * label + number, 96)
            for at, image in enumerate((scene, scene.transpose(TURNS[number % 7]))[: 1 if number > 13 else 2]):
                folder = root / splits[at % len(splits)] / f"class {label}"
                folder.mkdir(parents=True, exist_ok=True)
                image.save(folder / f"{number:02}-{at}.png")
    return root


def sides_of(run: Path) -> dict[str, str]:
    with (run / "split.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["split"] for row in csv.DictReader(file)}


def straddling(run: Path) -> int:
    scenes: dict[str, set[str]] = {}
    for file, split in sides_of(run).items():
        label, _, name = file.split("/", file.count("/") - 1)[-1].rpartition("/")
        scenes.setdefault(f"{label}/{name[:2]}", set()).add(split)
    return sum(len(each) > 1 for each in scenes.values())


def test_turned_copies_stay_on_one_split_and_what_was_done_is_recorded(tmp_path: Path) -> None:
    data, settings = draw(tmp_path / "data"), {"model": "majority", "cache": tmp_path / "cache"}
    distingo.train(data, tmp_path / "without", near_duplicates="none", **settings)
    assert straddling(tmp_path / "without") > 5
    distingo.train(data, tmp_path / "run", **settings)
    assert straddling(tmp_path / "run") == 0
    counts = read_counts(tmp_path / "run" / "near_duplicates.json")
    assert counts is not None
    found = (counts.images, counts.searched, counts.symmetries, counts.pairs, counts.groups, counts.grouped)
    assert found == (60, 60, 8, 28, 28, 56)
    assert (counts.largest, counts.straddling_pairs, counts.divided_by) == (2, 0, "distingo")
    without = read_counts(tmp_path / "without" / "near_duplicates.json")
    assert without is not None
    assert without.not_searched == "off"
    config: dict[str, Any] = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["near_duplicates"] == 0.8
    (found,) = (choice["values"] for choice in config["choices"] if choice["code"] == "duplicates")
    assert (found["pairs"], found["groups"], found["largest"]) == (28, 28, 2)
    assert "Near-duplicates" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    distingo.train(output=tmp_path / "again", config=tmp_path / "run" / "config.json", cache=tmp_path / "cache")
    assert sides_of(tmp_path / "again") == sides_of(tmp_path / "run")
    distingo.train(output=tmp_path / "old", config=tmp_path / "without" / "config.json", cache=tmp_path / "cache")
    assert sides_of(tmp_path / "old") == sides_of(tmp_path / "without")
    with raises(UsageError, code="changed_options", parameter="near_duplicates"):
        distingo.train(output=tmp_path / "run", resume=True, near_duplicates="none")


def test_pairs_on_two_given_splits_are_counted(tmp_path: Path) -> None:
    data = draw(tmp_path / "data", splits=("train", "test"))
    run = distingo.train(data, tmp_path / "run", model="majority", cache=tmp_path / "cache")
    counts = read_counts(run.path / "near_duplicates.json")
    assert counts is not None
    assert (counts.pairs, counts.straddling_pairs, counts.divided_by) == (28, 28, "data")
    assert counts.contradicting_pairs == 0
    page = (run.path / "report.html").read_text(encoding="utf-8")
    remark = "Pictures that are almost the same are on two splits, so the scores are too high: 28 pairs."
    assert remark in page[: page.index('id="scores"')].replace("\u00a0", " ")
    choices = json.loads((run.path / "config.json").read_text(encoding="utf-8"))["choices"]
    assert {"code": "duplicates-on-splits-of-data", "values": {"count": 28}} in choices
    assert "are on two splits" in (run.path / "model" / "README.md").read_text(encoding="utf-8")


def test_near_duplicates_under_two_classes_are_reported(tmp_path: Path) -> None:
    data = draw(tmp_path / "data")
    for number in range(3):
        with Image.open(data / "class 0" / f"{number:02}-0.png") as image:
            image.transpose(TURNS[5]).save(data / "class 1" / f"turned {number}.png")
    run = distingo.train(data, tmp_path / "run", model="majority", cache=tmp_path / "cache")
    counts = read_counts(run.path / "near_duplicates.json")
    assert counts is not None
    assert counts.contradicting_pairs == 6  # each with the scene and with its turned copy
    config: dict[str, Any] = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    assert {"code": "duplicates-of-other-class", "values": {"count": 6}} in config["choices"]


def test_small_images_are_not_searched(tmp_path: Path) -> None:
    data = draw(tmp_path / "data")
    for path in data.rglob("*.png"):
        Image.open(path).resize((28, 28)).save(path)
    run = distingo.train(data, tmp_path / "run", model="majority", cache=tmp_path / "cache")
    counts = read_counts(run.path / "near_duplicates.json")
    assert counts == NearDuplicateCounts(images=60, not_searched="small-images", smallest_side=32)


@pytest.mark.parametrize("option", [0.5, 1.1, "some"])
def test_a_similarity_out_of_range_is_refused(option: Any) -> None:
    with raises(UsageError, code="out_of_range", parameter="near_duplicates"):
        resolve_similarity(option)


def test_what_was_found_is_noted() -> None:
    searched = {"images": 9, "searched": 8, "too_small": 1, "similarity": 0.8, "smallest_side": 32}
    for by in ("distingo", "data", "split-file"):
        counts = NearDuplicateCounts(**searched, divided_by=by, moved=1, too_large=2, straddling_pairs=3)
        notes = describe_counts(counts)
        assert [each.code for each in notes[:4]] == [
            "duplicates",
            "duplicates-not-searched",
            "duplicates-moved",
            "duplicates-divided",
        ]
        assert notes[4].code.startswith("duplicates-on-splits")
    for why in ("off", "small-images"):
        (note,) = describe_counts(NearDuplicateCounts(images=9, not_searched=why, smallest_side=32))
        assert note.code == {"off": "duplicates-off", "small-images": "duplicates-too-small"}[why]
