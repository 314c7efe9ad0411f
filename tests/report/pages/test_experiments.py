"""The pages of cross-validations and learning curves, as text and in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from experiment_results import CLASSES, make_cross_validation, make_learning_curve

from distingo.report.pages.experiments import (
    draw_fold_rail,
    draw_forecast,
    summarize_cross_validation,
    summarize_learning_curve,
    write_crossval_page,
    write_learning_curve_page,
)


def test_the_cross_validation_says_mean_interval_and_unevenness(tmp_path: Path) -> None:
    summary = summarize_cross_validation(make_cross_validation(tmp_path / "cv"))
    assert summary.figure == "73.3\u00a0%"
    assert "in the mean over 3\u00a0folds of 30\u00a0pictures" in summary.text
    assert "not shown to be better than always answering the most frequent class" in summary.text
    assert any("from 50.0\u00a0% (fold 1) to 90.0\u00a0%" in remark for remark in summary.remarks)
    assert "a note" in summary.remarks


def test_the_rail_holds_every_fold(tmp_path: Path) -> None:
    found = make_cross_validation(tmp_path / "cv")
    rail = draw_fold_rail(found)
    mean = found.means["accuracy"]
    for value in (0.5, 0.9, mean.low, mean.high):
        assert 0 <= rail.place(value) <= 100


def test_names_are_escaped(tmp_path: Path) -> None:
    found = make_cross_validation(tmp_path / "cv")
    pages = [write_crossval_page(found, tmp_path / "cv"), write_learning_curve_page(make_learning_curve(), tmp_path)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert CLASSES[1] in text
        assert CLASSES[2] not in text


def test_the_advice_follows_the_gain() -> None:
    assert summarize_learning_curve(make_learning_curve(gain=0.5)).text.startswith("More pictures would help.")
    little = summarize_learning_curve(make_learning_curve(gain=0.01))
    assert little.text.startswith("More pictures of the same kind would help little.")
    assert "try another model" in little.remarks[0]
    much = summarize_learning_curve(make_learning_curve(gain=0.5))
    assert any("begin with" in remark for remark in much.remarks)
    assert not any("Weakest" in remark for remark in summarize_learning_curve(make_learning_curve(support=30)).remarks)


def test_the_chart_holds_what_was_measured_and_forecast() -> None:
    chart = draw_forecast(make_learning_curve().overall, "accuracy")
    marks = [*chart.measured, *chart.forecasts]
    assert [mark.x for mark in marks] == sorted(mark.x for mark in marks)
    assert all(16 <= mark.high <= mark.y <= mark.low <= 276 for mark in marks)
    assert chart.band.endswith("Z")
    assert [tick.text for tick in chart.x_ticks][-2:] == ["640", "1,600"]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "dark"), (320, "light")])
def test_pages_fit_every_screen_and_ask_for_nothing(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    found = make_cross_validation(tmp_path / "cv")
    pages = [write_crossval_page(found, tmp_path / "cv"), write_learning_curve_page(make_learning_curve(), tmp_path)]
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    for path in pages:
        page.goto(path.as_uri())
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.goto(pages[0].as_uri())
    page.locator("button.cell.wrong").first.click()
    assert page.locator("dialog#cell").is_visible()
    context.close()
    assert complaints == []
