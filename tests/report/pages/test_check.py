from pathlib import Path
from typing import Any

import pytest
from faulty_data import draw_faulty

import distingo
from distingo.curation.findings import FINDING_KINDS
from distingo.report.pages.check import KIND_TEXTS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check-page")
    distingo.check(draw_faulty(folder / "<b>data"), folder / "check", model="none", cache=folder / "cache")
    return folder / "check" / "check.html"


def test_every_kind_has_words():
    assert set(KIND_TEXTS) == set(FINDING_KINDS)


def test_the_page_names_files_and_shows_pairs(page):
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;data" in text
    assert "<b>data" not in text
    assert text.count('<article class="finding"') >= 9
    assert "train/<wbr>red/<wbr>near.png" in text
    assert "Of these kinds nothing was found:" in text


@pytest.mark.browser
def test_a_threshold_is_moved_on_the_page(browser: Any, page: Path):
    opened = browser.new_page(viewport={"width": 390, "height": 800})
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(page.as_uri())
    section = opened.locator("#near-duplicate")
    assert section.locator(".finding:visible").count() == 1
    section.get_by_label("Threshold").focus()
    before = opened.locator("[data-total]").inner_text()
    opened.keyboard.press("End")
    assert section.locator(".finding:visible").count() == 0
    assert section.get_by_text("None reaches the threshold.").is_visible()
    assert opened.locator('[data-count="near-duplicate"]').inner_text() == "0"
    assert "distingo check -o check --threshold near-duplicate=1.00" in section.inner_text()
    assert int(opened.locator("[data-total]").inner_text().split()[0]) == int(before.split()[0]) - 1
    opened.keyboard.press("Home")
    assert section.locator(".finding:visible").count() >= 1
    assert all(
        image.evaluate("image => image.complete && image.naturalWidth > 0")
        for image in section.locator(".finding:visible img").all()
    )
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
    opened.close()
