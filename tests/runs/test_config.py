"""``config.json`` comes back as it was written, in the order of earlier versions, or is refused in one line."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from distingo.datasets.splits.splitting import RequestedSplit
from distingo.datasets.tables.table import TableOptions
from distingo.errors import RunError
from distingo.files import write_json
from distingo.messages.notes import text_note
from distingo.records import ValueRange, ValueRanges
from distingo.runs.config import (
    CorrectionsSection,
    RecipeSection,
    RunConfig,
    TableSection,
    find_config_faults,
    read_config,
    read_config_file,
    write_config,
)
from distingo.runs.folder import RunFolder
from raising import raises

SMALL = RunConfig(data="/data", classes=("a",), recipe={"model": "small-cnn", "dropout": None})
FULL = RunConfig(
    distingo="0.2.0",
    data="/data/train.csv",
    root="/data",
    max_pixels=1000,
    value_ranges={"unsigned": [0.0, 4095.0]},
    corrections=CorrectionsSection(None, "/data/corrections.csv", 0, "0" * 32),
    table=TableSection(label_columns=("Sci-Fi", "猫"), allow_missing=True),
    near_duplicates=0.8,
    split=RequestedSplit(Path("/split.csv"), content="0" * 32),
    recipe_file=RecipeSection("/best.json", "1" * 32),
    layout=text_note("train.csv"),
    task="multi-label",
    classes=("Sci-Fi", "猫"),
    recipe={"model": "small-cnn", "lr": 0.001, "dropout": None},
    requested={"batch_size": "auto"},
    choices=(text_note("model: small-cnn"),),
    environment={"python": "3.13"},
    created="2026-11-30T12:00:00+00:00",
    folds=5,
    repeats=2,
    request="2" * 32,
)


@pytest.mark.parametrize("config", [SMALL, FULL])
def test_it_comes_back_as_it_was(config: RunConfig, tmp_path: Path) -> None:
    write_config(tmp_path / "config.json", config)
    assert read_config(RunFolder(tmp_path)) == config


def test_fields_keep_their_order_and_nothing_requested_is_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_config(path, FULL)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert [name for name in content if name != "checksum"] == ["format", *asdict(FULL)]
    assert content["table"] == {"label_columns": ["Sci-Fi", "猫"], "allow_missing": True}
    assert content["split"] == {"file": "/split.csv", "content": "0" * 32}
    assert content["corrections"] == {"file": "/data/corrections.csv", "changes": 0, "fingerprint": "0" * 32}
    assert content["value_ranges"] == {"unsigned": [0.0, 4095.0]}
    write_config(path, SMALL)
    names = ["format", "data", "layout", "task", "classes", "recipe", "choices", "environment", "checksum"]
    assert list(json.loads(path.read_text(encoding="utf-8"))) == names


def test_sections_become_what_other_rooms_take() -> None:
    assert FULL.table_options == TableOptions(label_columns=("Sci-Fi", "猫"))
    assert (FULL.allow_missing, SMALL.allow_missing) == (True, False)
    assert SMALL.table_options is replace(SMALL, table=TableSection(allow_missing=True)).table_options is None
    assert FULL.ranges == ValueRanges(unsigned=ValueRange(0.0, 4095.0))
    assert SMALL.ranges is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("table", 3),
        ("table", {"label_columns": 5}),
        ("table", {"labels_from": "stars"}),
        ("split", {"file": 3, "content": ""}),
        ("split", {"content": ""}),
        ("recipe", {"model": ["small-cnn"]}),
        ("max_pixels", True),
        ("max_pixels", 0),
        ("value_ranges", {"unsigned": [3, 2]}),
        ("value_ranges", {"unsigned": [3]}),
        ("value_ranges", {"colour": [0, 1]}),
        ("task", "several"),
        ("classes", []),
        ("near_duplicates", "some"),
    ],
)
def test_a_damaged_field_is_refused_in_one_line(field: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_json(path, {"format": 1, "data": "/data", "recipe": {}, field: value})
    with raises(RunError, code="damaged_file", naming=("config.json", field)) as caught:
        read_config_file(path)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"format": 1})
    with raises(RunError, code="damaged_file", naming=("data is missing", "recipe is missing")):
        read_config_file(tmp_path / "config.json")
    assert read_config_file(tmp_path / "config.json", required=()) == RunConfig()


def test_what_could_not_be_read_again_is_found_before_it_is_written() -> None:
    assert find_config_faults(SMALL) == []
    (fault,) = find_config_faults(replace(SMALL, data="/a\nb"))
    assert fault.startswith("data: Expected a text without control characters")
