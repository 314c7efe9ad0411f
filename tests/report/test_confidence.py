"""The section on certainty, as geometry."""

from __future__ import annotations

from pathlib import Path

from run_folders import build_run

from distingo.evaluation.confidence import AnswersAt, Confidence, SetsAt, Strangers, write_confidence
from distingo.metrics.calibration_error import Calibration, CalibrationBin
from distingo.records import Score
from distingo.report.charts import BOTTOM, TOP
from distingo.report.confidence import strange_files, view_confidence
from distingo.report.page import write_report

BINS = (CalibrationBin(40, 0.0, 0.1, 0.0, 0.2), CalibrationBin(10, 1.0, 1.0, 0.8, 1.0))
SAID = Calibration(Score(0.02, 0.0, 0.05, 50), BINS)


def made_up(*, before: bool = True) -> Confidence:
    return Confidence(
        n=50,
        validation=40,
        before=SAID if before else None,
        after=SAID,
        curve=((0.5, 0.0), (1.0, 0.2)),
        area=Score(0.05, 0.01, 0.1, 50),
        answers=(AnswersAt(0.01), AnswersAt(0.2, 0.6, 0.9, Score(0.1, 0.0, 0.2, 45))),
        sets=(SetsAt(0.9, 0.3, Score(0.91, 0.8, 1.0, 50), 1.2, 0.0), SetsAt(0.99)),
        strangers=Strangers(1, 1 / 41, ("class 0/picture 3.png",)),
    )


def test_bins_lie_where_their_numbers_say() -> None:
    before, after = view_confidence(made_up()).reliability
    assert (before.name, after.name) == ("Before calibration", "After calibration")
    low, high = after.dots
    assert high.y == TOP
    assert low.x < high.x
    assert low.radius > high.radius
    assert low.low > low.y > low.high
    assert "40: said 0.0" in low.words
    (only,) = view_confidence(made_up(before=False)).reliability
    assert only.name == "Probabilities"


def test_the_curve_starts_where_the_surest_are_answered() -> None:
    curve = view_confidence(made_up()).curve
    assert curve is not None
    first, last = curve.dots
    assert (first.y, last.y) == (BOTTOM, TOP)
    assert first.left + first.width == last.left
    assert "answers 100.0" in last.words


def test_the_page_tells_what_can_and_what_cannot_be_vouched_for(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    write_confidence(run, made_up())
    page = write_report(run).read_text(encoding="utf-8")
    section = page[page.index('<section id="certainty">') :]
    section = section[: section.index("</section>")]
    assert section.count("can’t vouch for this") == 2
    assert "class 0/" in section
    assert "<img" in section
    assert strange_files(view_confidence(made_up())) == ["class 0/picture 3.png"]
    assert strange_files(None) == []
