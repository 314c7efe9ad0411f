"""``evaluation.json`` comes back as it was, for one label and several, and as earlier versions wrote it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distingo.errors import RunError
from distingo.messages.notes import text_note
from distingo.metrics.multi_label import multi_label_scores
from distingo.metrics.thresholds import choose_thresholds
from distingo.records import LabeledImage, Source
from distingo.runs.contents import read_run
from distingo.runs.evaluation import read_evaluation, write_evaluation
from distingo.runs.predictions import read_predicted, write_predictions
from distingo.scores import ClassScores, Evaluation, Score, Thresholds
from raising import raises

SINGLE = Evaluation(
    split="test",
    n=4,
    classes=("a", "b"),
    scores={"accuracy": Score(0.75, 0.3, 0.95, 4)},
    per_class=(ClassScores("a", 0.5, 1.0, 0.6, 2), ClassScores("b", 1.0, 0.5, 0.6, 2)),
    confusion=((2, 0), (1, 1)),
    baselines={"majority": {"accuracy": Score(0.5, 0.2, 0.8, 4)}},
    notes=(text_note("a note"),),
    accuracy_gains={"majority": Score(0.25, -0.1, 0.6, 4)},
)


def several_labels() -> Evaluation:
    generator = np.random.default_rng(0)
    truth = generator.random((60, 3)) < 0.3
    truth[:, 1] = False
    probabilities = generator.random((60, 3))
    classes = ("Drama", "猫", "Sci-Fi")
    thresholds = choose_thresholds(truth, probabilities, labels=classes)
    result = multi_label_scores(truth, probabilities, thresholds.values, classes)
    return Evaluation(
        split="test",
        n=60,
        classes=classes,
        scores=result.scores,
        per_class=(),
        confusion=(),
        baselines={"prevalence": {"f1_macro": Score(0.1, 0.0, 0.2, 60)}},
        task="multi-label",
        per_label=result.per_label,
        left_out=result.left_out,
        thresholds=thresholds,
    )


@pytest.mark.parametrize("evaluation", [SINGLE, several_labels()], ids=["one label", "several labels"])
def test_it_comes_back_as_it_was(evaluation: Evaluation, tmp_path: Path) -> None:
    write_evaluation(tmp_path / "evaluation.json", evaluation)
    assert read_evaluation(tmp_path / "evaluation.json") == evaluation


def test_a_label_without_positives_comes_back_without_average_precision(tmp_path: Path) -> None:
    evaluation = several_labels()
    assert evaluation.left_out == ("猫",)
    assert evaluation.per_label[1].average_precision is None
    write_evaluation(tmp_path / "evaluation.json", evaluation)
    content = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert content["per_label"][1]["average_precision"] is None
    assert content["per_label"][0]["two_by_two"].keys() == {
        "true_positives",
        "false_positives",
        "false_negatives",
        "true_negatives",
    }


def test_a_file_from_before_there_were_several_labels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_evaluation(path, SINGLE)
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("task", "per_label", "left_out", "thresholds"):
        del content[name]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_evaluation(path) == SINGLE


@pytest.mark.parametrize("damage", ["names", "thresholds"])
def test_a_report_refuses_labels_that_do_not_fit(damage: str, tmp_path: Path) -> None:
    evaluation = several_labels()
    assert evaluation.thresholds is not None
    if damage == "names":
        evaluation = replace(evaluation, per_label=evaluation.per_label[:2])
    else:
        evaluation = replace(evaluation, thresholds=replace(evaluation.thresholds, values=(0.5,)))
    (tmp_path / "config.json").write_text('{"format": 1}', encoding="utf-8")
    write_evaluation(tmp_path / "evaluation.json", evaluation)
    with raises(RunError, code="damaged_file", naming="evaluation.json"):
        read_run(tmp_path)


def labeled(*labels: tuple[str, ...]) -> list[LabeledImage]:
    return [
        LabeledImage(Source(f"{at}.png", Path(f"{at}.png")), names, f"{at}", f"{at}", 8, 8)
        for at, names in enumerate(labels)
    ]


def test_predictions_of_one_label_have_the_columns_they_always_had(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "predictions.parquet"
    write_predictions(path, labeled(("b",), ("a",)), np.array([[0.25, 0.75], [0.5, 0.5]], np.float32), ("a", "b"))
    table = pq.read_table(path)
    assert [f"{field.name}: {field.type}" for field in table.schema] == [
        "file: string",
        "truth: string",
        "predicted: string",
        "confidence: float",
        "probabilities: struct<a: float, b: float>",
    ]
    assert table.to_pylist()[0] == {
        "file": "0.png",
        "truth": "b",
        "predicted": "b",
        "confidence": 0.75,
        "probabilities": {"a": 0.25, "b": 0.75},
    }


def test_predictions_of_several_labels_come_back_as_they_were(tmp_path: Path) -> None:
    path, classes = tmp_path / "predictions.parquet", ("Drama", "猫", "a|b")
    probabilities = np.array([[0.5, 0.25, 0.125], [0.0, 0.125, 0.0]], np.float32)
    images = labeled(("Drama", "a|b"), ())
    write_predictions(path, images, probabilities, classes, Thresholds((0.5, 0.3, 0.125), "f1"))
    read = read_predicted(path, classes)
    assert read is not None
    assert read.files == ("0.png", "1.png")
    assert read.truth.tolist() == [[True, False, True], [False, False, False]]
    assert read.predicted.tolist() == [[True, False, True], [False, False, False]]
    assert np.array_equal(read.probabilities, probabilities)
