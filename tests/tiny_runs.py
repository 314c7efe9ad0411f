"""Runs that are really trained, on images so tiny that it takes seconds."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import distingo
from tiny_datasets import draw_classes, draw_labels


def train_tiny_runs(root: Path) -> dict[str, Path]:
    """One run per model on the same images and split, by the model's name."""
    data = draw_classes(root / "colours")
    recipes: dict[str, dict[str, Any]] = {
        "majority": {},
        "descriptors": {},
        "small-cnn": {"image_size": 8, "epochs": 2, "batch_size": 16},
    }
    for model, recipe in recipes.items():
        distingo.train(data, root / model, model=model, cache=root / "cache", **recipe)
    return {model: root / model for model in recipes}


def train_tiny_label_runs(root: Path) -> dict[str, Path]:
    """Runs with several labels per image, on the same images and split, by the model's name."""
    data = draw_labels(root / "shapes", count=160)
    for model in ("prevalence", "descriptors"):
        distingo.train(data / "labels.csv", root / model, model=model, cache=root / "cache")
    return {model: root / model for model in ("prevalence", "descriptors")}


def train_tiny_networks(root: Path) -> dict[str, Path]:
    """A network on class folders and one on a table of labels, which sees gray."""
    colors, shapes = draw_classes(root / "colours", size=40), draw_labels(root / "shapes", count=160, size=40)
    recipe: dict[str, Any] = {"model": "small-cnn", "image_size": 16, "epochs": 2, "batch_size": 16}
    distingo.train(colors, root / "one label", cache=root / "cache", **recipe)
    distingo.train(shapes / "labels.csv", root / "several labels", cache=root / "cache", channels=1, **recipe)
    return {"one label": root / "one label", "several labels": root / "several labels"}


def copy_run(run: Path, place: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(run, place))


def change_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def forget_checksums(folder: Path) -> None:
    """What a person does who changed a table, an image or a model there by hand."""
    (folder / "checksums.json").unlink(missing_ok=True)


def change_rows(path: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Change the rows of a CSV in place."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    forget_checksums(path.parent)


def answer(run: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change a run's predictions, and its accuracy with them."""
    path = run / "predictions.parquet"
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows), path)
    forget_checksums(run)
    right = sum(row["truth"] == row["predicted"] for row in rows) / len(rows)
    change_json(run / "evaluation.json", lambda content: content["scores"]["accuracy"].update(value=right))
