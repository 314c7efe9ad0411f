"""Run folders drawn by the tests: real images, real files, made-up predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from distingo.csv_files import join_labels
from distingo.messages.notes import note, text_note
from distingo.records import ManifestRow
from distingo.runs.data import write_manifest
from distingo.runs.evaluation import write_evaluation
from distingo.scores import ClassScores, Evaluation, Score

HOSTILE = '<script>alert("1")</script>'
SCRIPTS = (HOSTILE, "قطط", "猫", "🐈‍⬛ emoji & co", "plain|pipe")


@dataclass(frozen=True, slots=True)
class TestImage:
    """One image of the test split: what it is and what was said."""

    __test__ = False

    file: str
    truth: str
    predicted: str
    confidence: float


def draw_image(path: Path, shade: int, size: tuple[int, int] = (28, 28)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), shade % 256, dtype=np.uint8)
    pixels[: size[1] // 2, : size[0] // 3] = 255 - shade % 256
    Image.fromarray(pixels).save(path)


def score(value: float, n: int, margin: float = 0.05) -> Score:
    return Score(value, max(0.0, value - margin), min(1.0, value + margin), n)


def judge_images(
    images: Sequence[TestImage], classes: Sequence[str], baselines: dict[str, dict[str, Score]]
) -> Evaluation:
    truth = [image.truth for image in images]
    predicted = [image.predicted for image in images]
    measures = precision_recall_fscore_support(truth, predicted, labels=list(classes), zero_division=0)
    right = float(np.mean([image.truth == image.predicted for image in images]))
    return Evaluation(
        split="test",
        n=len(images),
        classes=tuple(classes),
        scores={"accuracy": score(right, len(images)), "log_loss": Score(0.4, 0.3, 0.5, len(images))},
        per_class=tuple(
            ClassScores(name, float(p), float(r), float(f), int(s))
            for name, p, r, f, s in zip(classes, *measures, strict=True)
        ),
        confusion=tuple(map(tuple, confusion_matrix(truth, predicted, labels=list(classes)).tolist())),
        baselines=baselines,
        notes=(text_note("A note of the evaluation."),),
    )


def write_config(run: Path, data: Path, classes: Sequence[str], **recipe: Any) -> None:
    run.mkdir(parents=True, exist_ok=True)
    config = {
        "format": 1,
        "distingo": "0.1.0",
        "data": str(data),
        "layout": "class folders",
        "task": "single-label",
        "classes": list(classes),
        "recipe": {"model": "small-cnn", "epochs": 3, "lr": 0.001, **recipe},
        "choices": ["float32 because <this> processor has nothing else"],
        "environment": {"python": "3.11", "cpu": "a processor"},
        "created": "2026-01-02T03:04:05+00:00",
    }
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")


def write_rows(path: Path, header: str, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)


def write_predictions(path: Path, images: Sequence[TestImage]) -> None:
    columns = {name: [getattr(image, name) for image in images] for name in ("file", "truth", "predicted")}
    confidence = pa.array([image.confidence for image in images], pa.float32())
    pq.write_table(pa.table({**columns, "confidence": confidence}), path)


def build_run(
    folder: Path, classes: Sequence[str] = SCRIPTS, *, each: int = 6, evaluated: bool = True, epochs: int = 3
) -> Path:
    """Write a run folder over images of its own; every class's last test image is taken for the next class."""
    data, run = folder / "data", folder / "run"
    write_config(run, data, classes)
    manifest, split, images = [], [], []
    for position, name in enumerate(classes):
        for index in range(each):
            file = f"class {position}/picture {index}.png"
            draw_image(data / file, 40 * position + 9 * index)
            split_name = "train" if index < each // 3 else "validation" if index < each // 2 else "test"
            manifest.append(ManifestRow(file, "used", None, (name,), None, "PNG", 28, 28, f"{position}-{index}"))
            split.append((file, split_name, join_labels((name,))))
            if split_name == "test":
                wrong = index == each - 1
                said = classes[(position + 1) % len(classes)] if wrong else name
                images.append(TestImage(file, name, said, 0.5 + 0.01 * position if wrong else 0.9))
    manifest.append(
        ManifestRow("x/page.jpg", "unusable", text_note("an HTML page"), (classes[0],), None, "HTML", 0, 0, "h")
    )
    manifest.append(
        ManifestRow(
            "x/copy.png", "duplicate", note("same-bytes", file="x/a"), (classes[0],), None, "PNG", 1, 1, "c", "x/a"
        )
    )
    write_manifest(manifest, run / "manifest.csv")
    write_rows(run / "split.csv", "file,split,labels", split)
    if epochs:
        header = "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate"
        header += ",images_per_second,seconds"
        rows = [(n, 2 / n, 0.5 + n / 10, 2.2 / n, 0.4 + n / 10, 0.001, 300, 2) for n in range(1, epochs + 1)]
        write_rows(run / "history.csv", header, rows)
    (run / "model").mkdir()
    (run / "model" / "summary.txt").write_text("conv <1>   (8, 28, 28)   80\n", encoding="utf-8")
    if evaluated:
        baselines = {"majority": {"accuracy": score(1 / len(classes), len(images))}}
        write_evaluation(run / "evaluation.json", judge_images(images, classes, baselines))
        write_predictions(run / "predictions.parquet", images)
    return run
