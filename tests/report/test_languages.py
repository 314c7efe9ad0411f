"""The report in the languages of its readers: nothing is left in English, and names stay as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_runs import LABELS, build_label_run
from run_folders import SCRIPTS, build_run
from sample_confidence import made_up
from visible_text import visible_texts

import distingo
from distingo.language import LANGUAGES, use_language
from distingo.report.pages.run import write_report
from distingo.report.thumbnails import list_mistakes
from distingo.runs.contents import read_run
from distingo.runs.evaluation import write_confidence
from distingo.runs.folder import RunFolder
from distingo.runs.predictions import StoredHeatMap, write_heat_maps

TRANSLATED = [language for language in LANGUAGES if language != "en"]

SAME = {
    *("F1", "distingo", "PNG", "HTML", "loss", "no", "n"),
    *("small-cnn", "majority", "prevalence", "descriptors", "data", "run"),
    *("F1, macro", "F1, micro", "poster-cnn", "F1, macro, at 0.5", "cpu", "python"),
    # recorded sentences that the tests made up, and no room of distingo writes
    *(
        "A note of the evaluation.",
        "same bytes",
        "an HTML page",
        "— an HTML page",
        "float32 because <this> processor has nothing else",
    ),
    *("labels.csv names it", "— labels.csv names it", "a threshold per label because <one> does not fit all"),
}
"""Words that are the same in every language, and names that the tests made up."""

_MADE_UP = re.compile(
    r"(.*/)?(class \d|picture|label [A-P]\b|shown|x|pictures?)[ /].*\.(png|jpg)( · .*)?|.*\.(png|jpg).*"
)


def pages(folder: Path) -> dict[str, str]:
    """The report of one run in each language, with every section that there may be."""
    write_confidence(folder, made_up())
    heat = np.array([[0.0, 1.0]], np.float32)
    maps = [StoredHeatMap(*mistake, (0, 0, 1, 1), heat) for mistake in list_mistakes(read_run(folder))]
    write_heat_maps(maps, RunFolder(folder).heat_maps)
    texts = {}
    for language in LANGUAGES:
        with use_language(language):
            texts[language] = write_report(folder).read_text(encoding="utf-8")
    return texts


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return pages(build_run(tmp_path_factory.mktemp("single"), each=24))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return pages(build_label_run(tmp_path_factory.mktemp("several")).folder)


def untranslated(texts: dict[str, str], language: str, names: tuple[str, ...]) -> set[str]:
    """What stands in English on a page of another language, but for names."""
    left = visible_texts(texts["en"]) & visible_texts(texts[language])
    return {text for text in left if text not in SAME and not _MADE_UP.fullmatch(text) and _speaks(text, names)}


def _speaks(text: str, names: tuple[str, ...]) -> bool:
    """Whether a text has words besides the names of classes."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(" ".join(name.split()), "")
    return re.search(r"[^\W\d_]{2,}", text) is not None


@pytest.mark.parametrize("language", TRANSLATED)
def test_nothing_of_a_report_is_left_in_english(single: dict[str, str], language: str) -> None:
    assert len(visible_texts(single["en"])) > 60
    assert untranslated(single, language, SCRIPTS) == set()


@pytest.mark.parametrize("language", TRANSLATED)
def test_nothing_of_a_report_on_labels_is_left_in_english(several: dict[str, str], language: str) -> None:
    assert len(visible_texts(several["en"])) > 100
    assert untranslated(several, language, LABELS) == set()


@pytest.mark.parametrize(("language", "tag"), [("en", "en"), ("es", "es"), ("zh", "zh-Hans")])
def test_a_page_says_its_language(single: dict[str, str], language: str, tag: str) -> None:
    assert single[language].startswith(f'<!doctype html>\n<html lang="{tag}">')


@pytest.mark.parametrize("language", TRANSLATED)
def test_names_and_figures_are_the_same_in_every_language(single: dict[str, str], language: str) -> None:
    for name in SCRIPTS[1:]:
        escaped = name.replace("&", "&amp;")
        assert single[language].count(f"<bdi>{escaped}</bdi>") == single["en"].count(f"<bdi>{escaped}</bdi>") > 0
    values = re.findall(r'data-value="([^"]*)"', single["en"])
    assert re.findall(r'data-value="([^"]*)"', single[language]) == values != []


def test_what_the_script_says_is_translated(single: dict[str, str], several: dict[str, str]) -> None:
    for texts in (single, several):
        words = {
            language: json.loads(re.findall(r'id="words">(.*?)</script>', page)[0]) for language, page in texts.items()
        }
        for language in TRANSLATED:
            assert words[language].keys() == words["en"].keys()
            same = {name for name, word in words[language].items() if word == words["en"][name]}
            assert same <= ({"percent", "comma"} if language == "es" else set())
            for name, word in words[language].items():
                assert set(re.findall(r"\{\w+\}", word)) == set(re.findall(r"\{\w+\}", words["en"][name]))
    notes = re.findall(r'"note": "(.*?)"', single["zh"])
    assert notes
    assert all("张图片" in json.loads(f'"{note}"') for note in notes)


def test_a_recorded_sentence_that_nobody_knows_is_shown_as_it_is(single: dict[str, str]) -> None:
    for language in LANGUAGES:
        assert "A note of the evaluation." in single[language]


@pytest.mark.browser
def test_cells_open_in_the_language_of_the_page(single: dict[str, str], browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(single["es"], encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("button.cell.wrong").first.click()
    assert "tomada por" in page.locator("#cell-title").inner_text()
    assert "imágen" in page.locator("#cell-note").inner_text() or "imagen" in page.locator("#cell-note").inner_text()
    assert page.locator("#cell-pictures figcaption .truth").first.inner_text().startswith("es ")
    page.close()


def test_the_command_writes_page_and_card_in_a_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distingo.cli import main

    run = build_run(tmp_path)
    assert main(["report", str(run), "--language", "zh"]) == 0
    assert "准确率" in (run / "report.html").read_text(encoding="utf-8")
    monkeypatch.setenv("DISTINGO_LANGUAGE", "es")
    distingo.write_report(run)
    assert "Exactitud" in (run / "report.html").read_text(encoding="utf-8")
    distingo.write_report(run, language="en")
    assert "Accuracy" in (run / "report.html").read_text(encoding="utf-8")
