"""The page as it is sent: its files, its language, its words, and what a browser is told to keep to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from page_server import serving
from visible_text import visible_texts

from distingo.language import LANGUAGES, use_language
from distingo.serving import page_routes
from distingo.serving.page_routes import choose_language, page_words

PAGE = Path(page_routes.__file__).parent / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))


@pytest.fixture(scope="module")
def url(tiny_runs: dict[str, Path]) -> Iterator[str]:
    with serving({"colours": tiny_runs["majority"]}, max_upload=2**20) as address:
        yield address


def told(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="settings">(.*?)</script>', page, re.DOTALL)
    assert found
    settings: dict[str, Any] = json.loads(found[1])
    return settings


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("de, zh-TW;q=0.8, en;q=0.5", "zh"),
        ("en;q=0.1, es;q=0.2", "es"),
        ("fr-FR, de", "en"),
        ("es;q=0, en", "en"),
        ("zh;q=abc, es", "es"),
        ("*", "en"),
        (",,;;q=,=", "en"),
    ],
)
def test_the_browsers_language_is_taken_where_there_is_one(accepted: str, language: str) -> None:
    assert choose_language(accepted) == language


@pytest.mark.parametrize(("asked", "tag"), [("en", "en"), ("es", "es"), ("zh", "zh-Hans")])
def test_the_page_comes_in_its_readers_language(url: str, asked: str, tag: str) -> None:
    page = httpx2.get(url, headers={"Accept-Language": asked})
    assert f'<html lang="{tag}">' in page.text
    assert page.headers["vary"] == "Accept-Language"
    assert (told(page.text)["language"], told(page.text)["asked"]) == (asked, False)
    with use_language(told(page.text)["language"]):
        assert page_words()["heading"] in visible_texts(page.text)
    other = httpx2.get(f"{url}?language={asked}", headers={"Accept-Language": "fr"})
    assert (told(other.text)["language"], told(other.text)["asked"]) == (asked, True)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_nothing_on_the_page_stays_in_english(url: str, language: str) -> None:
    english, other = (visible_texts(httpx2.get(f"{url}?language={each}").text) for each in ("en", language))
    assert {text for text in english & other if not text.startswith("distingo")} == {"Español", "中文"}
    words = told(httpx2.get(url).text)["words"]
    assert words[language].keys() == words["en"].keys()
    same = {name for name, text in words["en"].items() if text == words[language][name]}
    assert same <= {"percent", "comma", "answered"}


def test_every_word_of_the_scripts_and_the_page_is_there_and_none_besides() -> None:
    sources = [*SCRIPTS, PAGE / "page.html", Path(page_routes.__file__)]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    quoted = set(re.findall(r"""["'](\w+)["']""", source)) | set(re.findall(r'data-(?:word|label)="(\w+)"', source))
    states = {f"error{status}" for status in re.findall(r'"(4\d\d|503)"', source)}
    words = set(page_words())
    called = set(re.findall(r'\bword\("(\w+)"', source))
    assert called <= words
    assert words - quoted - states == set(), "words that nothing says"


def test_places_in_words_are_filled() -> None:
    """Every call gives the values that the word has places for."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    for name, places in re.findall(r'\bword\("(\w+)", \{ ([^}]*)\}', source):
        given = {part.partition(":")[0].strip() for part in places.split(",") if ":" in part or part.strip().isalpha()}
        wanted = set(re.findall(r"\{(\w+)\}", page_words()[name]))
        assert wanted <= given, name


def test_the_browser_is_told_to_ask_nobody_else(url: str) -> None:
    page = httpx2.get(url)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert not re.search(r"<script(?![^>]*(src=|application/json))|\son\w+=|style=|https?://", page.text)
    for path in [*SCRIPTS, PAGE / "page.css"]:
        assert not re.search(r"https?://|@import|eval\(|innerHTML|insertAdjacent", path.read_text(encoding="utf-8")), (
            path
        )


def test_all_files_of_the_page_are_served_and_no_others(url: str) -> None:
    for path in SCRIPTS:
        sent = httpx2.get(f"{url}page/{path.name}")
        assert (sent.status_code, sent.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        for imported in re.findall(r'from "\./(\w+\.js)"', sent.text):
            assert (PAGE / imported).is_file()
    assert "--accent" in httpx2.get(f"{url}page/style.css").text
    for name in ("page.html", "page_routes.py", "..%2fapp.py", "nothing.js"):
        assert httpx2.get(f"{url}page/{name}").status_code == 404


def test_what_has_not_changed_is_not_sent_again(url: str) -> None:
    first = httpx2.get(f"{url}page/page.js")
    again = httpx2.get(f"{url}page/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "no-cache"


def test_the_limits_reach_the_page(url: str) -> None:
    settings = told(httpx2.get(url).text)
    assert settings["limits"] == {"bytes": 2**20, "pixels": 50_000_000}
    assert (settings["corrections"], settings["newClasses"]) == (False, False)


def test_the_page_is_open_where_a_key_is_asked_for(tiny_runs: dict[str, Path]) -> None:
    from distingo.serving.http.access import hash_key

    with serving({"colours": tiny_runs["majority"]}, key_hashes=(hash_key("k" * 20),)) as url:
        assert httpx2.get(url).status_code == httpx2.get(f"{url}page/page.js").status_code == 200
        assert httpx2.get(f"{url}models").status_code == 401
