"""The claims in the summary of an evaluation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distingo.report.text.summaries import summarize_evaluation
from distingo.scores import ClassScores, Evaluation, Score


def _plain(text: str) -> str:
    return text.translate({0xA0: " ", 0x2060: None, 0x2068: None, 0x2069: None})


def _evaluation(
    accuracy: Score, baselines: dict[str, Score], per_class: tuple[ClassScores, ...] = (), **more: Score
) -> Evaluation:
    return Evaluation(
        split="test",
        n=accuracy.n,
        classes=("a", "b"),
        scores={"accuracy": accuracy, **more},
        per_class=per_class,
        confusion=((30, 10), (2, 18)),
        baselines={name: {"accuracy": score} for name, score in baselines.items()},
    )


GOOD = Score(0.864, 0.831, 0.895, 420)


def test_clear_advantages_are_given_in_points() -> None:
    baselines = {"majority": Score(0.254, 0.21, 0.3, 420), "descriptors": Score(0.742, 0.7, 0.78, 420)}
    assert _plain(summarize_evaluation(_evaluation(GOOD, baselines), "small-cnn").text) == (
        "Right on 86.4 % of 420 test pictures (95 % interval 83.1–89.5 %) — 61 points above always answering the "
        "most frequent class and 12 points above color-and-texture descriptors."
    )


def test_overlapping_intervals_are_not_called_better() -> None:
    baselines = {"majority": Score(0.254, 0.21, 0.3, 420), "descriptors": Score(0.84, 0.80, 0.87, 420)}
    text = _plain(summarize_evaluation(_evaluation(GOOD, baselines), "small-cnn").text)
    assert text.endswith(
        "— 61 points above always answering the most frequent class, but not shown to be better than "
        "color-and-texture descriptors (84.0 %), as the intervals overlap."
    )


def test_a_difference_image_by_image_decides_where_it_was_taken() -> None:
    baselines = {"majority": Score(0.254, 0.21, 0.3, 420), "descriptors": Score(0.84, 0.80, 0.87, 420)}
    gains = {"majority": Score(0.61, 0.56, 0.66, 420), "descriptors": Score(0.024, 0.003, 0.045, 420)}
    evaluated = replace(_evaluation(GOOD, baselines), accuracy_gains=gains)
    assert _plain(summarize_evaluation(evaluated, "small-cnn").text).endswith(
        "— 61 points above always answering the most frequent class and 2.4 points above color-and-texture descriptors."
    )
    gains = {**gains, "descriptors": Score(0.024, -0.003, 0.051, 420)}
    text = _plain(summarize_evaluation(replace(evaluated, accuracy_gains=gains), "small-cnn").text)
    assert text.endswith(
        "not shown to be better than color-and-texture descriptors (84.0 %), as chance may explain the difference."
    )


def test_a_baseline_that_is_better_is_admitted() -> None:
    text = _plain(
        summarize_evaluation(_evaluation(GOOD, {"descriptors": Score(0.95, 0.93, 0.97, 420)}), "small-cnn").text
    )
    assert text.endswith("— 8.6 points below color-and-texture descriptors.")


def test_touching_intervals_count_as_overlap() -> None:
    text = summarize_evaluation(_evaluation(GOOD, {"descriptors": Score(0.8, 0.75, 0.831, 420)}), "small-cnn").text
    assert "not shown to be better" in text


def test_a_model_is_not_compared_with_itself() -> None:
    text = _plain(summarize_evaluation(_evaluation(GOOD, {"descriptors": GOOD}), "descriptors").text)
    assert text == "Right on 86.4 % of 420 test pictures (95 % interval 83.1–89.5 %)."


def test_one_image() -> None:
    assert "of 1 test picture (" in _plain(summarize_evaluation(_evaluation(Score(1, 1, 1, 1), {}), "m").text)


def test_the_weakest_class_is_named_with_what_it_is_taken_for() -> None:
    per_class = (ClassScores("a", 0.9, 0.75, 0.8, 40), ClassScores("b", 0.6, 0.9, 0.7, 20))
    remarks = summarize_evaluation(_evaluation(GOOD, {}, per_class), "m").remarks
    assert _plain(remarks[0]) == (
        "Weakest class: a, found in 75 % of its 40 pictures; most often predicted as b (10 times)."
    )
    assert len(remarks) == 1


def test_small_classes_are_warned_about() -> None:
    per_class = (ClassScores("a", 0.9, 0.75, 0.8, 40), ClassScores("b", 0.6, 0.9, 0.7, 19))
    remarks = " ".join(map(_plain, summarize_evaluation(_evaluation(GOOD, {}, per_class), "m").remarks))
    assert "1 of 2 classes has fewer than 20 test pictures" in remarks


@pytest.mark.parametrize(("balanced", "told"), [(0.70, True), (0.85, False)])
def test_rare_classes_doing_worse(balanced: float, told: bool) -> None:
    score = Score(balanced, balanced, balanced, 420)
    remarks = summarize_evaluation(_evaluation(GOOD, {}, balanced_accuracy=score), "m").remarks
    assert any("Rare classes do worse" in remark for remark in remarks) == told


def test_without_an_accuracy_nothing_is_claimed() -> None:
    evaluation = Evaluation("test", 12, ("a",), {}, (), (), {})
    assert _plain(summarize_evaluation(evaluation, "m").text) == "Evaluated on 12 test pictures."
