from __future__ import annotations

import math
import sys

import pytest

from distingo.errors import UsageError
from distingo.notebooks import predictions_to_pandas
from distingo.prediction.image_model import Predictions
from distingo.scores import BinaryConfusion, ClassScores, Evaluation, LabelScores, Prediction, Score
from raising import raises

pytest.importorskip("pandas")

EVALUATION = Evaluation(
    split="test",
    n=10,
    classes=("cat", "dog"),
    scores={"accuracy": Score(0.9, 0.6, 0.98, 10), "log_loss": Score(0.3, 0.1, 0.5, 10, too_few=True)},
    per_class=(ClassScores("cat", 1.0, 0.8, 0.89, 5), ClassScores("dog", 0.83, 1.0, 0.91, 5)),
    confusion=((4, 1), (0, 5)),
    baselines={"majority": {"accuracy": Score(0.5, 0.2, 0.8, 10)}},
)
LABELS = Evaluation(
    split="test",
    n=10,
    classes=("red",),
    scores={},
    per_class=(),
    confusion=(),
    baselines={},
    task="multi-label",
    per_label=(LabelScores("red", None, 0.5, 1.0, 0.67, 4, 0.25, BinaryConfusion(4, 4, 0, 2)),),
)


def test_scores_are_rows_of_the_model_and_its_baselines():
    table = EVALUATION.to_pandas()
    assert list(table.columns) == ["model", "score", "value", "low", "high", "n", "too_few"]
    assert table.to_numpy().tolist() == [
        ["model", "accuracy", 0.9, 0.6, 0.98, 10, False],
        ["model", "log_loss", 0.3, 0.1, 0.5, 10, True],
        ["majority", "accuracy", 0.5, 0.2, 0.8, 10, False],
    ]


def test_classes_and_labels_are_rows():
    assert EVALUATION.to_pandas("classes").to_dict("records") == [
        {"class": "cat", "precision": 1.0, "recall": 0.8, "f1": 0.89, "support": 5},
        {"class": "dog", "precision": 0.83, "recall": 1.0, "f1": 0.91, "support": 5},
    ]
    (row,) = LABELS.to_pandas("classes").to_dict("records")
    assert math.isnan(row.pop("average_precision"))
    assert row == {"class": "red", "precision": 0.5, "recall": 1.0, "f1": 0.67, "support": 4, "threshold": 0.25}


def test_the_confusion_matrix_has_the_truth_down():
    table = EVALUATION.to_pandas("confusion")
    assert (table.index.name, table.columns.name) == ("truth", "predicted")
    assert table.loc["cat"].to_dict() == {"cat": 4, "dog": 1}
    assert table.loc["dog"].to_dict() == {"cat": 0, "dog": 5}
    assert LABELS.to_pandas("confusion").shape == (0, 0)


def test_predictions_are_rows_with_a_column_for_each_class():
    table = Predictions(
        [
            Prediction("a.png", ("dog", "cat"), (0.75, 0.25), unlike=False),
            Prediction("b.png", ("cat",), (0.5,), unlike=True),
            Prediction("c.png", (), (), "no such file"),
        ]
    ).to_pandas()
    assert list(table.columns) == ["file", "label", "probability", "unlike", "error", "p_cat", "p_dog"]
    assert table["file"].tolist() == ["a.png", "b.png", "c.png"]
    assert table["label"].tolist() == ["dog", "cat", None]
    assert table["probability"].tolist()[:2] == [0.75, 0.5]
    assert table["p_cat"].tolist()[:2] == [0.25, 0.5]
    assert table["p_dog"].isna().tolist() == [False, True, True]
    assert table["unlike"].tolist() == [False, True, None]
    assert table["error"].tolist() == ["", "", "no such file"]
    assert str(table["probability"].dtype) == "float64"


def test_several_labels_come_as_tuples():
    found = [Prediction("a.png", ("red", "big"), (0.75, 0.5), given=("red", "big"), prediction_set=("red",))]
    table = predictions_to_pandas(found)
    assert list(table.columns) == [
        "file",
        "label",
        "probability",
        "labels",
        "prediction_set",
        "error",
        "p_big",
        "p_red",
    ]
    assert table["labels"].tolist() == [("red", "big")]
    assert table["prediction_set"].tolist() == [("red",)]
    assert predictions_to_pandas([]).columns.tolist() == ["file", "label", "probability", "error"]


def test_without_pandas_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for call in (EVALUATION.to_pandas, Predictions().to_pandas):
        with raises(UsageError, code="missing_extra"):
            call()


def test_an_unknown_table_is_refused():
    with raises(UsageError, code="unknown_name", parameter="what", naming="'rows'"):
        EVALUATION.to_pandas("rows")  # type: ignore[arg-type]
