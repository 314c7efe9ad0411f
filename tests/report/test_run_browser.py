"""The report in a real browser: wide and narrow screens, offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_folders import HOSTILE, SCRIPTS, build_run, draw_image

from browsing import CONTRASTS, TEXTS
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.evaluation.compare_runs import compare_runs
from distingo.report.pages.comparison import write_comparison_page
from distingo.report.pages.inspection import write_inspection
from distingo.report.pages.run import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(build_run(tmp_path_factory.mktemp("browser"), each=9))


@pytest.fixture
def opened(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The report on a screen, with whatever it requested or complained about noted down."""
    width, scheme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"alert {dialog.message}"))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(report.as_uri())
    yield page
    context.close()
    assert complaints == []


_SCREENS = [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark"), (320, "light")]


@pytest.mark.parametrize("opened", _SCREENS, indirect=True)
def test_it_never_scrolls_sideways(opened: Any) -> None:
    for details in opened.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("opened", _SCREENS[:3], indirect=True)
def test_a_confusion_cell_opens_its_images(opened: Any) -> None:
    opened.locator(f"button.cell.wrong[data-predicted='{SCRIPTS[1]}']").click()
    dialog = opened.locator("dialog#cell")
    assert dialog.is_visible()
    assert dialog.locator("h2").inner_text() == f"{HOSTILE} predicted as {SCRIPTS[1]}"
    figures = dialog.locator("figure")
    assert figures.count() == 1
    text = figures.first.inner_text()
    for part in (HOSTILE, SCRIPTS[1], "50", "picture 8.png"):
        assert part in text
    image = figures.first.locator("img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 28
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    opened.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_every_cell_opens_as_many_images_as_it_says(opened: Any) -> None:
    for button in opened.locator("button.cell").all():
        button.click()
        assert opened.locator("dialog figure img[src^='data:']").count() == int(button.inner_text())
        opened.locator("dialog .close").click()


def test_the_matrix_is_walked_by_arrow_keys(opened: Any) -> None:
    first = opened.locator("button.cell").first
    first.focus()
    opened.keyboard.press("ArrowRight")
    there = opened.evaluate("[document.activeElement.dataset.truth, document.activeElement.dataset.predicted]")
    assert there == [SCRIPTS[0], SCRIPTS[1]]
    opened.keyboard.press("ArrowDown")
    there = opened.evaluate("[document.activeElement.dataset.truth, document.activeElement.dataset.predicted]")
    assert there == [SCRIPTS[1], SCRIPTS[1]]
    opened.keyboard.press("Enter")
    assert opened.locator("dialog#cell").is_visible()
    opened.keyboard.press("Escape")
    assert opened.evaluate("document.activeElement.dataset.truth") == SCRIPTS[1]
    assert opened.locator("button.cell[tabindex='0']").count() == 1


def test_the_class_table_sorts_both_ways(opened: Any) -> None:
    heading = opened.locator(".per-class th", has_text="Class")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    up = opened.locator(".per-class tbody th").all_inner_texts()
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert opened.locator(".per-class tbody th").all_inner_texts() == up[::-1]
    assert sorted(up) == sorted(SCRIPTS)


def test_hovering_a_curve_reads_its_epoch(opened: Any) -> None:
    chart = opened.locator("svg.curves").first
    shown = chart.locator(".epoch .shown").nth(1)
    assert shown.evaluate("group => getComputedStyle(group).visibility") == "hidden"
    chart.locator(".epoch rect").nth(1).hover()
    assert shown.evaluate("group => getComputedStyle(group).visibility") == "visible"
    text = shown.text_content()
    assert "epoch 2" in text
    assert "70.0" in text
    assert "60.0" in text


def test_text_stands_out_in_light_and_dark(browser: Any, report: Path) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 (success criterion 1.4.3)."""
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(report.as_uri())
        for ratio, what in page.evaluate(CONTRASTS, TEXTS):
            assert ratio >= 4.5, (scheme, what, ratio)
        page.close()


@pytest.fixture(scope="module")
def comparison(tiny_runs: dict[str, Path]) -> Path:
    """Three runs: one right everywhere, one with epochs, one that always says the same."""
    runs = [tiny_runs["small-cnn"], tiny_runs["descriptors"], tiny_runs["majority"]]
    return write_comparison_page(compare_runs(runs), tiny_runs["majority"].parent / "in a browser")


@pytest.mark.parametrize(("width", "scheme"), _SCREENS)
def test_a_comparison_in_a_browser(browser: Any, comparison: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(comparison.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    dots = [box.bounding_box() for box in page.locator(".runs tbody circle").all()]
    rails = [box.bounding_box() for box in page.locator(".runs tbody .rail-cell").all()]
    assert len(dots) == len(rails) == 3
    assert len({(rail["x"], rail["width"]) for rail in rails}) == 1  # one scale for all
    for dot, rail in zip(dots, rails, strict=True):
        assert rail["x"] - 1 <= dot["x"] + dot["width"] / 2 <= rail["x"] + rail["width"] + 1
        assert rail["y"] <= dot["y"] <= dot["y"] + dot["height"] <= rail["y"] + rail["height"]
    assert dots[0]["x"] > dots[-1]["x"]  # the best lies to the right of the floor
    for ratio, what in page.evaluate(CONTRASTS, TEXTS):
        assert ratio >= 4.5, (scheme, what, ratio)
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert complaints == []
    page.close()


def test_a_comparisons_text_stands_out_and_its_classes_sort(browser: Any, comparison: Path) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(comparison.as_uri())
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = true; }")
        for ratio, what in page.evaluate(CONTRASTS):
            assert ratio >= 4.5, (scheme, what, ratio)
        table = page.locator("#classes table").first
        heading = table.locator("th", has_text="Difference").last
        heading.locator("button").click()
        found = [float(cell.get_attribute("data-value")) for cell in table.locator("tbody td:nth-child(6)").all()]
        assert len(found) == 3
        assert found == sorted(found)
        page.close()


def test_pointing_at_a_comparisons_curve_reads_every_run(browser: Any, comparison: Path) -> None:
    page = browser.new_page()
    page.goto(comparison.as_uri())
    chart = page.locator("svg.curves").first
    shown = chart.locator(".epoch .shown").nth(1)
    assert shown.evaluate("group => getComputedStyle(group).visibility") == "hidden"
    chart.locator(".epoch rect").nth(1).hover()
    assert shown.evaluate("group => getComputedStyle(group).visibility") == "visible"
    assert "epoch 2" in shown.text_content()
    assert "%" in shown.text_content()
    page.close()


def test_a_comparisons_names_lead_to_the_reports(browser: Any, comparison: Path) -> None:
    page = browser.new_page()
    page.goto(comparison.as_uri())
    page.locator(".runs a", has_text="small-cnn").click()
    page.wait_for_url("**/small-cnn/report.html")
    assert "small-cnn" in page.title()
    page.close()


def test_the_inspection_page_on_a_phone(browser: Any, tmp_path: Path) -> None:
    for number in range(6):
        draw_image(tmp_path / "data" / SCRIPTS[number % 2 + 1] / f"{number}.png", 30 * number, (90 + number, 80))
    dataset = read_dataset(tmp_path / "data", Reading(cache=Cache(tmp_path / "cache")))
    page = browser.new_page(viewport={"width": 375, "height": 800})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(write_inspection(dataset, tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("img.picture").count() == 6
    assert complaints == []
    page.close()
