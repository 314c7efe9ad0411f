"""The multi-label report in a real browser: wide and narrow screens, dark colors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from label_runs import LABELS, LabelRun, build_label_run
from run_folders import HOSTILE

from browsing import CONTRASTS, TEXTS
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.report.pages.inspection import write_inspection
from distingo.report.pages.run import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LabelRun:
    made = build_label_run(tmp_path_factory.mktemp("browser"))
    write_report(made.folder)
    return made


@pytest.fixture
def opened(browser: Any, run: LabelRun, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The report on a screen, with whatever it requested or complained about noted down."""
    width, scheme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"alert {dialog.message}"))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto((run.folder / "report.html").as_uri())
    yield page
    context.close()
    assert complaints == []


_SCREENS = [(1280, "light"), (375, "light"), (375, "dark"), (320, "light")]

_OVERFLOWING = """() => {
  // what scrolls by itself, is cut with an ellipsis, or is not shown
  const apart = ".scroll, .strip, .summary, .tag > *, .name > *, .balance th > *, svg *, .visually-hidden, .skip";
  return [...document.querySelectorAll("body *")]
    .filter((element) => !element.closest(apart) && element.getClientRects().length)
    .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((element) => `${element.tagName} ${element.getAttribute("class")} ${element.textContent.slice(0, 40)}`);
}"""


@pytest.mark.parametrize("opened", _SCREENS, indirect=True)
def test_nothing_reaches_beyond_the_screen(opened: Any) -> None:
    for details in opened.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.evaluate(_OVERFLOWING) == []


@pytest.mark.parametrize("opened", _SCREENS[1:], indirect=True)
def test_confusion_matrices_fit_next_to_their_curves(opened: Any) -> None:
    """No text of a card is cut off or lies on its neighbor."""
    wide = """card => [...card.querySelectorAll("th, .outcome, p span")]
        .filter((part) => part.clientWidth && part.scrollWidth > part.clientWidth + 1)
        .map((part) => part.textContent)"""
    for card in opened.locator(".card").all():
        assert card.evaluate(wide) == []


@pytest.mark.parametrize("opened", [_SCREENS[0], _SCREENS[2]], indirect=True)
def test_a_cell_opens_its_images(opened: Any, run: LabelRun) -> None:
    column = LABELS.index(HOSTILE)
    table = run.truth[:, column] & ~run.given[:, column]
    buttons = opened.locator("button.outcome[data-outcome='missed']")
    button = buttons.nth(buttons.evaluate_all("(all, label) => all.findIndex(b => b.dataset.label === label)", HOSTILE))
    assert int(button.inner_text()) == int(table.sum()) > 1
    button.click()
    dialog = opened.locator("dialog#cell")
    assert dialog.locator("h2").inner_text() == f"{HOSTILE} is present and not predicted"
    assert "most confident first" in dialog.locator("#cell-note").inner_text()
    figures = dialog.locator("figure")
    surest = min((row for row in range(len(table)) if table[row]), key=lambda row: run.probabilities[row, column])
    text = figures.first.inner_text().replace("\u00a0", " ")
    assert run.files[surest] in text.replace("\u200b", "")
    assert (
        f"{run.probabilities[surest, column] * 100:.{1 if run.probabilities[surest, column] < 0.095 else 0}f} %" in text
    )
    for label, there in zip(LABELS, run.truth[surest], strict=True):
        assert not there or label in text
    image = figures.first.locator("img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    opened.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_every_cell_opens(opened: Any) -> None:
    found = opened.evaluate(
        """() => [...document.querySelectorAll("button.outcome")].map((button) => {
            button.click();
            const shown = document.querySelectorAll("dialog[open] figure img[src^='data:']").length;
            document.querySelector("dialog .close").click();
            return [button.dataset.outcome, Number(button.textContent), shown];
        })"""
    )
    assert len(found) > 60
    assert all(shown == min(number, 24 if outcome in _MISTAKES else 12) for outcome, number, shown in found)


_MISTAKES = ("missed", "invented")


def test_the_table_of_labels_sorts(opened: Any) -> None:
    heading = opened.locator(".per-label th").filter(has_text="Threshold")
    heading.locator("button").click()
    values = opened.locator(".per-label tbody td:nth-child(3)").evaluate_all(
        "cells => cells.map((cell) => Number(cell.dataset.value))"
    )
    assert values == sorted(values)
    assert len(values) == 25


def test_text_stands_out_in_light_and_dark(browser: Any, run: LabelRun) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 (success criterion 1.4.3)."""
    texts = f"{TEXTS}, .cell, .outcome, .tag, .against, .name, figcaption li .number"
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((run.folder / "report.html").as_uri())
        found = page.evaluate(CONTRASTS, texts)
        assert len(found) > 1000
        assert [entry for entry in found if entry[0] < 4.5] == []
        page.close()


def test_the_inspection_page_on_a_phone(browser: Any, run: LabelRun, tmp_path: Path) -> None:
    data = run.folder.parent / "data"
    lines = [f"{file},{'猫;قطط' if at % 3 else 'plain' if at % 2 else ''}" for at, file in enumerate(run.files)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,labels", *lines]), encoding="utf-8")
    (tmp_path / "Bilder").symlink_to(data / "Bilder", target_is_directory=True)
    dataset = read_dataset(tmp_path / "labels.csv", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.task == "multi-label"
    page = browser.new_page(viewport={"width": 375, "height": 800})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(write_inspection(dataset, tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("#pairs .matrix .cell.both").count() == 2
    assert page.locator("#classes .balance").count() == 2
    assert complaints == []
    page.close()
