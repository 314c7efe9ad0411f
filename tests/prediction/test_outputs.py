"""Predictions as files that other programs read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq

from distingo.prediction.outputs import write_table
from distingo.scores import Prediction

ONE = [Prediction("a.png", ("猫", "dog"), (0.75, 0.25)), Prediction("b.png", (), (), "no picture")]
SEVERAL = [
    Prediction("a.png", ("Drama", "a|b", "News"), (0.75, 0.5, 0.25), given=("Drama", "a|b")),
    Prediction("b.png", ("News",), (0.125,), given=()),
    Prediction("c.png", (), (), "no picture", given=()),
]


def test_one_label_per_image_has_the_columns_it_always_had(tmp_path: Path) -> None:
    write_table(ONE, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text("utf-8").splitlines() == [
        "file,label,probability,label_2,probability_2,error",
        "a.png,猫,0.750000,dog,0.250000,",
        "b.png,,,,,no picture",
    ]
    write_table(ONE, tmp_path / "out.parquet")
    assert "labels" not in pq.read_table(tmp_path / "out.parquet").column_names


def test_several_labels_are_a_column_of_their_own(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl", "parquet"):
        write_table(SEVERAL, tmp_path / f"out.{ending}")
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert [row["labels"] for row in rows] == ["Drama|a\\|b", "", ""]
    assert list(rows[0])[:4] == ["file", "labels", "label", "probability"]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    for found in (lines, table):
        assert [row["labels"] for row in found] == [["Drama", "a|b"], [], []]
        assert found[0]["label_3"] == "News"
        assert found[0]["probability_3"] == 0.25
        assert found[2]["error"] == "no picture"
