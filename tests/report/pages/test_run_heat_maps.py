"""Heat maps of the most confident errors of a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_runs import build_label_run
from run_folders import build_run

from distingo.errors import RunError
from distingo.report.examples import most_confident_errors
from distingo.report.pages.run import write_report
from distingo.report.thumbnails import list_mistakes
from distingo.runs.contents import read_run
from distingo.runs.predictions import StoredHeatMap, write_heat_maps
from raising import raises

VALUES = np.array([[0.0, 0.2], [0.4, 1.0]], np.float32)


def with_maps(run: Path, most: int = 100) -> list[tuple[str, str]]:
    """Keep a map of a run's mistakes; returns which."""
    mistakes = list_mistakes(read_run(run))[:most]
    write_heat_maps([StoredHeatMap(*mistake, (0, 0, 1, 1), VALUES) for mistake in mistakes], run / "heat_maps.parquet")
    return mistakes


def test_the_mistakes_are_those_of_the_page(tmp_path: Path) -> None:
    records = read_run(build_run(tmp_path))
    expected = [(row.file, row.predicted) for row in most_confident_errors(records.predictions)]
    assert expected
    assert list_mistakes(records) == expected


def test_a_page_shows_the_maps_that_there_are(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    without = write_report(run).read_text(encoding="utf-8")
    assert 'class="heat"' not in without
    assert "Show in color" not in without
    assert len(with_maps(run, most=2)) == 2
    page = write_report(run).read_text(encoding="utf-8")
    assert page.count('<img class="heat" src="data:image/webp;base64,') == 2
    assert page.count("Show in color what supports") == 1


def test_several_labels_have_maps_of_wrongly_given_and_denied_labels(tmp_path: Path) -> None:
    run = build_label_run(tmp_path).folder
    mistakes = with_maps(run)
    assert len(mistakes) > 4
    page = write_report(run).read_text(encoding="utf-8")
    assert page.count('<img class="heat"') == len(mistakes)


def test_a_run_without_an_evaluation_has_no_mistakes(tmp_path: Path) -> None:
    assert list_mistakes(read_run(build_run(tmp_path / "one", evaluated=False))) == []
    assert list_mistakes(read_run(build_label_run(tmp_path / "several", evaluated=False).folder)) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    (run / "heat_maps.parquet").write_bytes(b"no parquet")
    with raises(RunError, code="damaged_file", naming="heat_maps.parquet"):
        write_report(run)


@pytest.mark.browser
def test_heat_lies_on_its_image_and_can_be_switched_off(browser: Any, tmp_path: Path) -> None:
    run = build_run(tmp_path)
    with_maps(run)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(write_report(run).as_uri())
    frame = page.locator("#mistakes figure:has(.heat)").first
    heat, image = frame.locator(".heat"), frame.locator(".picture")
    heat.scroll_into_view_if_needed()
    assert heat.bounding_box() == image.bounding_box()
    assert heat.evaluate("image => image.naturalWidth") > 0
    assert heat.evaluate("image => getComputedStyle(image).visibility") == "visible"
    page.locator(".heat-switch input").uncheck()
    page.mouse.move(0, 0)
    assert heat.evaluate("image => getComputedStyle(image).visibility") == "hidden"
    assert image.evaluate("image => getComputedStyle(image).filter") == "none"
    page.close()
