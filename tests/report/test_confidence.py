"""The section on certainty, as geometry."""

from __future__ import annotations

from pathlib import Path

from made_up_confidence import made_up
from run_folders import build_run

from distingo.evaluation.confidence import write_confidence
from distingo.report.charts import BOTTOM, TOP
from distingo.report.confidence import strange_files, view_confidence
from distingo.report.page import write_report


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
