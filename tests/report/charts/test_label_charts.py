"""Charts and cards of multi-label reports, compared with values counted by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distingo.errors import RunError
from distingo.metrics.multi_label import multi_label_scores
from distingo.report.charts.class_balance import MOST_LABELS, count_labels, view_pairs
from distingo.report.charts.classes import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    draw_precision_recall,
    mean_plain_f1,
    view_cells,
    view_labels,
)
from distingo.report.examples import most_confident_label_errors, show_samples
from distingo.report.text.summaries import summarize_label_evaluation
from distingo.report.text.wording import score_name, score_range, score_value
from distingo.runs.predictions import Predicted, read_predicted
from distingo.scores import Evaluation, Score
from raising import raises

LABELS = ("a", "b", "c")
TRUTH = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0]], dtype=np.bool_)
CHANCES = np.array(
    [[0.9, 0.2, 0.3], [0.6, 0.4, 0.1], [0.7, 0.8, 0.2], [0.1, 0.1, 0.6], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]], np.float32
)
THRESHOLDS = (0.5, 0.3, 0.5)


@pytest.fixture
def predictions() -> Predicted:
    files = tuple(f"{row}.png" for row in range(6))
    return Predicted(LABELS, files, TRUTH, np.greater_equal(CHANCES, THRESHOLDS), CHANCES)


@pytest.fixture
def evaluation() -> Evaluation:
    found = multi_label_scores(TRUTH, CHANCES, THRESHOLDS, LABELS)
    return Evaluation(
        "test", 6, LABELS, found.scores, (), (), {}, (), "multi-label", found.per_label, found.left_out, None
    )


def _plain(text: str) -> str:
    return text.translate({0xA0: " ", 0x2060: None, 0x2068: None, 0x2069: None})


def test_labels_per_image_without_gaps() -> None:
    rows = count_labels([("train", ["a"]), ("test", []), ("train", ["a", "b", "c"]), ("test", ["b"])])
    assert [(_plain(row.name), row.number) for row in rows] == [
        ("no label", 1),
        ("1 label", 2),
        ("2 labels", 0),
        ("3 labels", 1),
    ]
    assert [(bar.split, bar.number) for bar in rows[1].bars] == [("train", 1), ("test", 1)]
    assert count_labels([]) == ()


def test_many_labels_share_a_bar() -> None:
    rows = count_labels([("train", ["x"] * 12), ("train", ["x"] * 40)])
    assert len(rows) == 13
    assert (rows[-1].name, rows[-1].number) == ("12 or more", 2)


def test_pairs_are_ordered_by_images() -> None:
    view = view_pairs([["a", "b"], ["a", "b"], ["a", "c"], ["a"], ["b", "c"], []], ["c", "b", "a", "d"])
    assert view is not None
    assert view.labels == ("a", "b", "c", "d")
    assert [[cell.number for cell in row] for row in view.rows] == [[4, 2, 1, 0], [2, 3, 1, 0], [1, 1, 2, 0], [0] * 4]
    assert [(pair.first, pair.second, pair.number) for pair in view.pairs] == [
        ("b", "a", 2),
        ("c", "a", 1),
        ("c", "b", 1),
    ]
    assert view.pairs[0].share == pytest.approx(2 / 3)
    assert view.rows[0][1].share == 0.5


def test_a_large_matrix_is_cut_to_the_commonest_labels() -> None:
    names = [f"{number:03}" for number in range(100)]
    view = view_pairs([names[: number + 1] for number in range(100)], names)
    assert view is not None
    assert view.labels == tuple(names[:MOST_LABELS])
    assert (len(view.rows), view.total, len(view.pairs)) == (MOST_LABELS, 100, 12)


def test_no_pairs_no_matrix() -> None:
    assert view_pairs([["a"], ["b"], []], ["a", "b"]) is None


def test_cells_hold_the_surest_mistakes_and_the_least_sure_answers(
    predictions: Predicted, evaluation: Evaluation
) -> None:
    cells = view_cells(evaluation.per_label[0], predictions)
    assert {cell.outcome: (cell.number, cell.rows) for cell in cells} == {
        "found": (3, (1, 5, 0)),
        "missed": (1, (4,)),
        "invented": (1, (2,)),
        "rest": (1, (3,)),
    }
    cells = view_cells(evaluation.per_label[1], predictions)
    assert [(cell.outcome, cell.rows) for cell in cells] == [
        ("found", (2,)),
        ("missed", (5, 0)),
        ("invented", (4, 1)),
        ("rest", (3,)),
    ]
    assert [cell.rows for cell in view_cells(evaluation.per_label[1], None)] == [(), (), (), ()]


def test_surest_mistakes_show_a_image_once(predictions: Predicted) -> None:
    invented = most_confident_label_errors(predictions, missed=False)
    assert [(entry.file, entry.label, round(entry.probability, 3)) for entry in invented] == [
        ("2.png", "a", 0.7),
        ("4.png", "b", 0.7),
        ("3.png", "c", 0.6),
        ("1.png", "b", 0.4),
    ]
    missed = most_confident_label_errors(predictions, missed=True)
    assert [(entry.file, entry.label, entry.truth) for entry in missed] == [
        ("5.png", "b", ("a", "b")),
        ("0.png", "b", ("a", "b")),
        ("4.png", "a", ("a",)),
    ]


def test_surest_mistakes_take_three_of_a_label() -> None:
    none = np.zeros((9, 2), dtype=np.bool_)
    chances = np.column_stack([np.linspace(0.9, 0.6, 9), np.full(9, 0.5)]).astype(np.float32)
    rows = tuple(f"{row}" for row in range(9))
    found = most_confident_label_errors(Predicted(("a", "b"), rows, none, ~none, chances), missed=False)
    assert [(entry.file, entry.label) for entry in found] == [(f"{row}", "a" if row < 3 else "b") for row in range(6)]


def test_samples_are_chosen_by_name_and_say_the_most_probable_first(predictions: Predicted) -> None:
    samples = show_samples(predictions, THRESHOLDS)
    assert [sample.file for sample in samples] == list(predictions.files)
    first = samples[0]
    assert first.truth == (("a", True), ("b", False))
    assert [(each.label, each.given, each.right, each.threshold) for each in first.predictions] == [
        ("a", True, True, 0.5),
        ("c", False, False, 0.5),
        ("b", False, True, 0.3),
    ]


def test_cards_tell_a_half_from_the_thresholds(predictions: Predicted, evaluation: Evaluation) -> None:
    cards = view_labels(evaluation, predictions)
    assert [card.scores.name for card in cards] == ["a", "b", "c"]
    assert [card.left_out for card in cards] == [True, True, True]
    assert [card.plain_f1 for card in cards] == [0.75, 0.4, 0.0]
    assert cards[1].scores.f1 == pytest.approx(1 / 3)
    assert cards[2].curve is None
    assert cards[0].prevalence == pytest.approx(4 / 6)
    assert mean_plain_f1(cards) is None
    evaluated = tuple(dataclasses.replace(card, left_out=card.scores.name == "c") for card in cards)
    assert mean_plain_f1(evaluated) == pytest.approx(0.575)
    assert all(card.curve is None and card.plain_f1 is None for card in view_labels(evaluation, None))


def test_the_area_below_the_curve_is_the_average_precision() -> None:
    generator = np.random.default_rng(3)
    truth = (generator.random((60, 1)) < 0.3) & np.array([True])
    chances = np.clip(truth * 0.2 + generator.random((60, 1)) * 0.7, 0, 1)
    (scores,) = multi_label_scores(truth, chances, [0.4], ("a",)).per_label
    drawing = draw_precision_recall(scores, truth[:, 0], chances[:, 0])
    assert scores.average_precision is not None
    area, x, y = 0.0, float(LEFT), 0.0
    assert drawing.path.startswith(f"M{LEFT},")
    for step in drawing.path.split("V")[1:]:
        y, right = map(float, step.split("H"))
        area += (right - x) * (BOTTOM - y)
        x = right
    assert x == RIGHT
    assert area / ((RIGHT - LEFT) * (BOTTOM - TOP)) == pytest.approx(scores.average_precision.value, abs=0.01)
    assert drawing.prevalence == pytest.approx(BOTTOM - (BOTTOM - TOP) * truth.mean(), abs=0.06)
    assert drawing.chosen == pytest.approx(
        (LEFT + (RIGHT - LEFT) * scores.recall, BOTTOM - (BOTTOM - TOP) * scores.precision), abs=0.06
    )


def test_a_label_never_given_has_no_place_on_its_curve() -> None:
    truth = np.array([[True], [False]])
    (scores,) = multi_label_scores(truth, np.array([[0.2], [0.1]]), [0.5], ("a",)).per_label
    assert draw_precision_recall(scores, truth[:, 0], np.array([0.2, 0.1])).chosen is None


def test_the_verdict_compares_with_both_baselines() -> None:
    def score(value: float) -> dict[str, Score]:
        return {
            "mean_average_precision_macro": Score(value, value - 0.02, value + 0.02, 900),
            "top_3_hit": Score(value + 0.5, 0, 1, 900),
        }

    evaluation = Evaluation(
        "test", 900, LABELS, score(0.239), (), (), {"prevalence": score(0.105), "descriptors": score(0.23)}, ("Note.",)
    )
    summary = summarize_label_evaluation(evaluation, "poster-cnn")
    assert _plain(summary.text) == (
        "Mean average precision 23.9 % over 0 labels on 900 test pictures (95 % interval 21.9–25.9 %) — 13 points "
        "above answering every label's frequency, but not shown to be better than color-and-texture descriptors "
        "(23.0 %), as the intervals overlap."
    )
    assert _plain(summary.remarks[0]) == (
        "For 74 % of the pictures with labels, at least one of the three most probable labels is correct (answering "
        "every label's frequency: 60 %; color-and-texture descriptors: 73 %)."
    )
    assert summary.remarks[-1] == "Note."
    assert "points above" in summarize_label_evaluation(evaluation, "descriptors").text
    assert "descriptors" not in summarize_label_evaluation(evaluation, "descriptors").text


def test_the_verdict_names_what_it_left_out_and_what_chance_would_give(evaluation: Evaluation) -> None:
    own = Score(0.5, 0.4, 0.6, 6)
    evaluated = dataclasses.replace(
        evaluation,
        scores={"mean_average_precision_macro": own},
        left_out=("c",),
        per_label=tuple(dataclasses.replace(scores, support=20 * scores.support) for scores in evaluation.per_label),
        n=120,
    )
    remarks = [_plain(remark) for remark in summarize_label_evaluation(evaluated, "m").remarks]
    assert "on average 50 % of the pictures up to there have it. In a random order it would be 58 %." in remarks[0]
    assert remarks[1].startswith("Farthest above chance: a, 8")
    assert "(chance: 67 %); least: b, " in remarks[1]
    assert remarks[2] == "Left out of the means, as fewer than 5 test pictures have them: c."


def test_a_verdict_without_a_judged_label_claims_nothing(evaluation: Evaluation) -> None:
    assert "mean_average_precision_macro" not in evaluation.scores
    assert (
        _plain(summarize_label_evaluation(evaluation, "m").text)
        == "Evaluated on 6 test pictures; too few have a label to score it."
    )


def test_scores_of_several_labels_have_words() -> None:
    assert score_value("coverage_error", 8.6) == "8.60"
    assert _plain(score_range("coverage_error", 7.841, 9.3)) == "7.84–9.30"
    assert score_value("hamming_loss", 0.1714) == "0.171"
    assert score_name("top_1_hit")[1].endswith("for which the most probable label is correct")
    assert score_name("top_3_hit")[0] == "Top-3 hit"


def _write(path: Path, truth: list[list[str]], labels: tuple[str, ...]) -> Path:
    chances = pa.StructArray.from_arrays([pa.array([0.5, 0.2], pa.float32()) for _ in labels], names=list(labels))
    pq.write_table(pa.table({"file": ["x", "y"], "truth": truth, "predicted": truth, "probabilities": chances}), path)
    return path


def test_predictions_are_read_in_the_order_of_the_labels(tmp_path: Path) -> None:
    path = _write(tmp_path / "predictions.parquet", [["b"], ["a", "b"]], ("b", "a"))
    found = read_predicted(path, ("a", "b"))
    assert found is not None
    assert found.truth.tolist() == [[False, True], [True, True]]
    assert found.probabilities.dtype == np.float32
    assert found.labels_of(1) == ("a", "b")
    assert read_predicted(tmp_path / "nothing.parquet", ("a",)) is None


@pytest.mark.parametrize(
    ("truth", "labels"), [([["z"], []], ("a", "b")), ([["a"], []], ("a", "c")), ([["a"], None], ("a", "b"))]
)
def test_other_labels_are_refused(tmp_path: Path, truth: list[list[str]], labels: tuple[str, ...]) -> None:
    path = _write(tmp_path / "predictions.parquet", truth, labels)
    with pytest.raises(RunError, match=r"predictions\.parquet: damaged or of other classes"):
        read_predicted(path, ("a", "b"))
    with raises(RunError, code="damaged_file", naming="predictions.parquet"):
        read_predicted(path, ("a", "b"))
