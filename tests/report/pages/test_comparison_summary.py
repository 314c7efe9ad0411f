"""The claims in the summary of a comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from distingo.evaluation.comparison_records import ComparedRun, Comparison, Cost
from distingo.evaluation.pairing import ComparedRecipes, VersusBest
from distingo.metrics.paired import PairedScore, RecipeDifference
from distingo.report.pages.comparison_summary import is_clear, summarize_comparison
from distingo.runs.config import RunConfig
from distingo.runs.contents import RunRecords
from distingo.scores import Evaluation, Score


def plain(text: str) -> str:
    return text.translate({0xA0: " ", 0x2060: None, 0x2068: None, 0x2069: None})


def run(
    name: str,
    accuracy: float,
    p: float | None = None,
    behind: float = 0.0,
    *,
    score: str = "accuracy",
    needed: int | None = None,
    same: bool = False,
    mode: str = "classic",
) -> ComparedRun:
    """A run, and where a p-value is given one that is so far behind, give or take two points."""
    scores = {score: Score(accuracy, accuracy - 0.03, accuracy + 0.03, 400)}
    evaluation = Evaluation("test", 400, ("a",), scores, (), (), {})
    versus = None
    if p is not None:
        paired = PairedScore(accuracy, accuracy + behind, -behind, -behind - 0.02, -behind + 0.02, p, 400)
        versus = VersusBest(paired, p, images_needed=needed, same_recipe=same)
    records = RunRecords(Path(name), RunConfig(), (), (), (), evaluation, (), "")
    return ComparedRun(name, name, mode, records, evaluation, Cost(), versus)


def told(*runs: ComparedRun, score: str = "accuracy") -> str:
    return plain(summarize_comparison(Comparison("single-label", score, 400, runs, {}, ())).text)


def test_a_clear_lead_comes_with_its_interval() -> None:
    assert told(run("A", 0.9), run("B", 0.859, 0.0004, 0.041)) == (
        "A is better than B by 4.1 points, 95 % sure it is between 2.1 and 6.1: right on 90.0 % against 85.9 % of "
        "400 test pictures (p < 0.001)."
    )


def test_without_a_difference_the_needed_images_are_given() -> None:
    assert told(run("A", 0.9), run("B", 0.89, 0.41, 0.01, needed=3456)) == (
        "No difference can be seen between A and B: A’s 1.0 point ahead on 400 test pictures can be chance (p = 0.41; "
        "95 % sure it is between −1.0 and +3.0); about 3,500 test pictures instead of 400 would be needed to see a "
        "difference of that size."
    )
    assert "would be needed" not in told(run("A", 0.9), run("B", 0.89, 0.41, 0.01, needed=12_345_678))


def test_an_equal_run_is_admitted() -> None:
    assert told(run("A", 0.9), run("B", 0.9, 1.0, 0.0)) == (
        "No difference can be seen between A and B: both are right on 90.0 % of 400 test pictures, and a difference of "
        "up to 2.0 points could stay unseen."
    )


def test_two_trainings_of_one_recipe_differ_by_luck() -> None:
    assert told(run("A", 0.9), run("B", 0.86, 0.001, 0.04, same=True)) == (
        "A and B are one recipe trained with other seeds: the 4.0 points that set them apart on 400 test pictures are "
        "luck in training, in the test pictures or in both (95 % sure that these two models differ by between 2.0 and "
        "6.0; p = 0.001)."
    )


START = "right on 90.0 % of 400 test pictures (95 % interval 87.0–93.0 %) — "


def test_many_clear_leads() -> None:
    assert told(run("A", 0.9), run("B", 0.8, 0.0004, 0.1), run("C", 0.5, 0.0, 0.4)) == (
        f"A is best: {START}better by 10 points than B (95 % sure: 8.0 to 12.0) and 40 points than C (95 % sure: "
        "38.0 to 42.0)."
    )


def test_clear_and_unclear_leads_are_kept_apart() -> None:
    runs = (run("B", 0.88, 0.05, 0.02), run("C", 0.9, 1.0, 0.0), run("D", 0.5, 0.004, 0.4))
    assert told(run("A", 0.9), *runs) == (
        f"A and C tie: {START}no difference can be seen from B (2.0 points behind, p = 0.05); "
        "better by 40 points than D (95 % sure: 38.0 to 42.0)."
    )
    assert "B (the same recipe, 2.0 points behind by luck)" in told(
        run("A", 0.9), run("B", 0.88, 0.0, 0.02, same=True), run("D", 0.5, 0.004, 0.4)
    )


def test_many_runs_are_not_all_listed() -> None:
    others = [run(f"r{number}", 0.8 - number / 100, 0.001, 0.1 + number / 100) for number in range(6)]
    text = told(run("A", 0.9), *others)
    assert "r0" in text
    assert "and 4 more" in text
    assert "r5" not in text


def test_multi_label_runs_are_compared_by_mean_average_precision() -> None:
    key = "mean_average_precision_macro"
    assert told(run("A", 0.3, score=key), run("B", 0.2, 0.002, 0.1, score=key), score=key) == (
        "A is better than B by 10 points, 95 % sure it is between 8.0 and 12.0: mean average precision macro of 30.0 % "
        "against 20.0 % on 400 test pictures (p = 0.002)."
    )


def remarks(*runs: ComparedRun, **more: object) -> str:
    comparison = replace(Comparison("single-label", "accuracy", 400, runs, {}, ("N",)), **more)
    return plain("\n".join(summarize_comparison(comparison).remarks))


def test_remarks_mention_the_selection_of_the_best() -> None:
    runs = (run("A", 0.9), run("B", 0.8, 0.0, 0.1))
    assert remarks(*runs) == "The best run was found by these same test pictures, so its score is slightly too high.\nN"
    runs += (run("C", 0.8, 0.0, 0.1), run("D", 0.8, 0.0, 0.1))
    assert "multiplied by the 6 pairs of runs" in remarks(*runs)


def test_remarks_mention_untested_luck() -> None:
    once = remarks(run("A", 0.9, mode="frozen"), run("B", 0.8, 0.0, 0.1, mode="scratch"))
    assert "Every recipe was trained once" in once
    assert "Another seed would move B too" in once
    assert "trained once" not in remarks(run("A", 0.9), run("B", 0.8, 0.0, 0.1, mode="frozen"))


@pytest.mark.parametrize(("p", "words"), [(0.01, "(1 training) is better than"), (0.2, "no difference can be seen")])
def test_remarks_compare_recipes(p: float, words: str) -> None:
    result = RecipeDifference(0.9, 0.85, 0.05, 0.01, 0.09, p, 0.01, 400)
    runs = (run("A", 0.9), run("B", 0.86, 0.01, 0.04), run("C", 0.84, 0.01, 0.06))
    text = remarks(*runs, seeds=(("B", "C"),), recipes=(ComparedRecipes(("A",), ("B", "C"), result, p),))
    assert "B and C are one recipe trained with other seeds, 84.0–86.0 %." in text
    assert "Luck in training included, " in text
    assert words in text
    assert "the recipe of B and C (2 trainings)" in text
    assert "+1.0 to +9.0" in text


@pytest.mark.parametrize(("p", "clear"), [(0.049, True), (0.05, False), (None, False)])
def test_clear_means_below_five_percent(p: float | None, clear: bool) -> None:
    assert is_clear(run("a", 0.5, p)) is clear
