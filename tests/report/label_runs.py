"""Run folders with several labels per image: real images, real scores and thresholds, made-up probabilities."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from run_folders import HOSTILE, draw_image

from distingo.csv_files import join_labels, write_table
from distingo.messages.notes import text_note
from distingo.metrics.multi_label import multi_label_scores
from distingo.metrics.thresholds import choose_thresholds
from distingo.records import ManifestRow
from distingo.runs.data import write_manifest
from distingo.runs.evaluation import write_evaluation
from distingo.scores import Evaluation

RARE, NEVER = "نادر", "never tested"
LABELS = tuple(
    sorted(
        {HOSTILE, "قطط وكلاب", "סרט ישן", "猫と犬", "🐈‍⬛ emoji & co", "plain|pipe", RARE, NEVER}
        | {"Eine recht lange Bezeichnung, die nirgends überstehen darf"}
        | {f"label {letter}" for letter in "ABCDEFGHIJKLMNOP"}
    )
)
COMMON = "label A"


@dataclass(frozen=True, slots=True)
class LabelRun:
    """A run folder and what was put in it."""

    folder: Path
    files: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    evaluation: Evaluation

    @property
    def given(self) -> np.ndarray:
        assert self.evaluation.thresholds is not None
        return self.probabilities >= np.array(self.evaluation.thresholds.values)


def draw_truth(n: int, generator: np.random.Generator) -> np.ndarray:
    """Labels of falling frequency; two images of a rare one, none of another, and one image without labels."""
    truth = generator.random((n, len(LABELS))) < np.linspace(0.25, 0.4, len(LABELS))
    for often in (COMMON, HOSTILE):
        truth[:, LABELS.index(often)] = generator.random(n) < 0.7
    truth[:, LABELS.index(NEVER)] = False
    truth[:, LABELS.index(RARE)] = False
    truth[:2, LABELS.index(RARE)] = True
    truth[-1] = False
    return truth


def build_label_run(folder: Path, *, evaluated: bool = True, predicted: bool = True, test: int = 48) -> LabelRun:
    """Write a run folder over a table of labels and images of its own."""
    generator = np.random.default_rng(0)
    data, run = folder / "data" / "labels.csv", folder / "run"
    numbers = {"train": 12, "validation": 24, "test": test}
    truth = {split: draw_truth(number, generator) for split, number in numbers.items()}
    files = {split: tuple(f"Bilder/{split} {at:03}.png" for at in range(number)) for split, number in numbers.items()}
    chances = {
        split: np.clip(0.2 * table + 0.6 * generator.random(table.shape), 0, 1).astype(np.float32)
        for split, table in truth.items()
    }
    for at, file in enumerate(file for names in files.values() for file in names):
        draw_image(data.parent / file, 5 * at, (90, 130))
    _write_tables(run, data, files, truth)
    thresholds = choose_thresholds(truth["validation"], chances["validation"], labels=LABELS)
    prevalence = np.tile(truth["train"].mean(axis=0).astype(np.float32), (test, 1))
    half = np.full(len(LABELS), 0.5)
    scores = multi_label_scores(truth["test"], chances["test"], thresholds.values, LABELS)
    floor = multi_label_scores(truth["test"], prevalence, half, LABELS)
    evaluation = Evaluation(
        split="test",
        n=test,
        classes=LABELS,
        scores=scores.scores,
        per_class=(),
        confusion=(),
        baselines={"prevalence": floor.scores},
        notes=(text_note("A note of the evaluation."),),
        task="multi-label",
        per_label=scores.per_label,
        left_out=scores.left_out,
        thresholds=thresholds,
    )
    made = LabelRun(run, files["test"], truth["test"], chances["test"], evaluation)
    if evaluated:
        write_evaluation(run / "evaluation.json", evaluation)
    if evaluated and predicted:
        write_label_predictions(run / "predictions.parquet", made)
    return made


def write_label_predictions(path: Path, run: LabelRun) -> None:
    columns = [pa.array(column, pa.float32()) for column in run.probabilities.T]
    table = {
        "file": list(run.files),
        "truth": pa.array(names_in(run.truth), pa.list_(pa.string())),
        "predicted": pa.array(names_in(run.given), pa.list_(pa.string())),
        "probabilities": pa.StructArray.from_arrays(columns, names=list(LABELS)),
    }
    pq.write_table(pa.table(table), path)


def names_in(table: np.ndarray) -> list[list[str]]:
    return [[LABELS[column] for column in np.flatnonzero(row)] for row in table]


def _write_tables(run: Path, data: Path, files: dict[str, tuple[str, ...]], truth: dict[str, np.ndarray]) -> None:
    run.mkdir(parents=True)
    data.write_text("the table itself is not read again\n", encoding="utf-8")
    rows = [
        (file, split, names)
        for split, members in files.items()
        for file, names in zip(members, names_in(truth[split]), strict=True)
    ]
    write_table(
        run / "split.csv", ["file", "split", "labels"], [(file, split, join_labels(n)) for file, split, n in rows]
    )
    manifest = [ManifestRow(file, "used", None, tuple(names), None, "PNG", 90, 130, file) for file, _, names in rows]
    gone = ManifestRow(
        "Bilder/gone.png", "missing", text_note("labels.csv names it"), (COMMON,), None, "", 0, 0, "", lines=(7,)
    )
    write_manifest([*manifest, gone], run / "manifest.csv")
    columns = ["epoch", "train_loss", "train_mean_average_precision", "validation_loss"]
    epochs = [(n, 0.5 / n, 0.2 + n / 10, 0.6 / n, 0.18 + n / 20) for n in (1, 2, 3)]
    write_table(run / "history.csv", [*columns, "validation_mean_average_precision"], epochs)
    config = {
        "format": 1,
        "data": str(data),
        "layout": "labels.csv, one 0/1 column per label",
        "task": "multi-label",
        "classes": list(LABELS),
        "recipe": {"model": "poster-cnn", "epochs": 3, "loss": "binary-cross-entropy"},
        "choices": ["a threshold per label because <one> does not fit all"],
        "environment": {"cpu": "a processor"},
    }
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
