"""What the first sentence of a comparison claims, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from distingo.evaluation.comparison import ComparedRun, Comparison, Cost, VersusBest
from distingo.evaluation.reading import RunRecords
from distingo.metrics.paired import PairedDifference
from distingo.records import Evaluation, Score
from distingo.report.comparison_verdict import is_clear, judge_comparison


def plain(text: str) -> str:
    return text.translate({0xA0: " ", 0x2060: None, 0x2068: None, 0x2069: None})


def run(
    name: str, accuracy: float, p: float | None = None, behind: float = 0.0, score: str = "accuracy"
) -> ComparedRun:
    scores = {score: Score(accuracy, accuracy - 0.03, accuracy + 0.03, 400)}
    evaluation = Evaluation("test", 400, ("a",), scores, (), (), {})
    versus = None if p is None else VersusBest(PairedDifference(-behind, -behind - 0.02, 0.01, 3, 9, p / 3, 400), p)
    records = RunRecords(Path(name), {}, (), (), (), evaluation, (), "")
    return ComparedRun(name, name, "scratch", records, evaluation, Cost(None, None, None, None, None), versus)


def told(*runs: ComparedRun, score: str = "accuracy", notes: tuple[str, ...] = ()) -> str:
    verdict = judge_comparison(Comparison("single-label", score, 400, runs, {}, notes))
    return plain(verdict.text)


START = "right on 90.0 % of 400 test pictures (95 % interval 87.0–93.0 %) — "


def test_clear_leads_are_told_in_points() -> None:
    assert told(run("a", 0.9), run("b", 0.8, 0.0004, 0.1), run("c", 0.5, 0.0, 0.4)) == (
        f"a is best: {START}10 points above b (p < 0.001) and 40 points above c (p < 0.001), more than chance explains."
    )


def test_a_lead_that_chance_could_give_is_not_called_best() -> None:
    assert told(run("a", 0.9), run("b", 0.89, 0.41, 0.01)) == (
        f"a comes first: {START}but the lead of 1.0 point over b (p = 0.41) could be chance."
    )


def test_clear_and_unclear_leads_are_kept_apart() -> None:
    assert told(run("a", 0.9), run("b", 0.88, 0.05, 0.02), run("c", 0.5, 0.004, 0.4)) == (
        f"a comes first: {START}but the lead of 2.0 points over b (p = 0.05) could be chance; "
        "the 40 points above c (p = 0.004) are more than that."
    )


def test_an_equal_run_is_admitted() -> None:
    assert told(run("a", 0.9), run("b", 0.9, 1.0, 0.0)) == f"a comes first: {START}but b is right just as often."
    assert "but b and c are right just as often, and the lead of" in told(
        run("a", 0.9), run("b", 0.9, 1.0, 0.0), run("c", 0.9, 1.0, 0.0), run("d", 0.89, 0.9, 0.01)
    )


def test_many_runs_are_not_all_listed() -> None:
    others = [run(f"r{number}", 0.8 - number / 100, 0.001, 0.1 + number / 100) for number in range(6)]
    text = told(run("a", 0.9), *others)
    assert "r0" in text
    assert "and 4 more" in text
    assert "r5" not in text


def test_several_labels_are_not_tested() -> None:
    key = "mean_average_precision_macro"
    text = told(run("a", 0.3, score=key), run("b", 0.2, score=key), score=key)
    assert text == (
        "a comes first: mean average precision macro of 30.0 % on 400 test pictures (95 % interval 27.0–33.0 %) — "
        "10 points above b; whether by more than chance was not tested."
    )


def test_remarks_say_what_flatters_the_best() -> None:
    runs = (run("a", 0.9), run("b", 0.8, 0.0, 0.1))
    two = judge_comparison(Comparison("single-label", "accuracy", 400, runs, {}, ("N",)))
    assert two.remarks == ("The best run was found by these same test pictures, which flatters it a little.", "N")
    runs += (run("c", 0.8, 0.0, 0.1), run("d", 0.8, 0.0, 0.1))
    four = judge_comparison(Comparison("single-label", "accuracy", 400, runs, {}, ()))
    assert "multiplied by the 6 pairs of runs" in plain(four.remarks[0])


@pytest.mark.parametrize(("p", "clear"), [(0.049, True), (0.05, False), (None, False)])
def test_clear_means_below_five_percent(p: float | None, clear: bool) -> None:
    assert is_clear(run("a", 0.5, p)) is clear
