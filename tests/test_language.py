"""The language of pages: which one it is, and what it does to sentences and numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from distingo.api.keywords import resolve_language
from distingo.errors import UsageError
from distingo.language import VARIABLE, count, current_language, gettext, language_tag, ngettext, use_language
from distingo.report.text.wording import counted, duration, percent, points, points_range, score_range, setting
from raising import raises


def test_a_wish_goes_before_the_environment_and_that_before_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert resolve_language(None) == "en"
    assert resolve_language("zh") == "zh"
    monkeypatch.setenv(VARIABLE, "es")
    assert resolve_language(None) == "es"
    assert resolve_language("en") == "en"
    monkeypatch.setenv(VARIABLE, "")
    assert resolve_language(None) == "en"


def test_an_unknown_language_names_who_said_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(UsageError, code="unknown_name", parameter="language"):
        resolve_language("fr")
    monkeypatch.setenv(VARIABLE, "Klingon")
    with raises(UsageError, code="unknown_name", parameter="language"):
        resolve_language(None)


def test_a_language_ends_with_its_block_and_stays_in_its_thread() -> None:
    with use_language("es"):
        assert (current_language(), gettext("Accuracy")) == ("es", "Exactitud")
        with use_language("zh"):
            assert (language_tag(), gettext("Accuracy")) == ("zh-Hans", "准确率")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(current_language).result() == "en"
        with pytest.raises(KeyError), use_language("zh"):
            raise KeyError
        assert language_tag() == "es"
    assert (current_language(), gettext("Accuracy")) == ("en", "Accuracy")


def test_a_sentence_nobody_translated_stays_english() -> None:
    with use_language("zh"):
        assert gettext("no such sentence of %(name)s, 5 %%", name="distingo") == "no such sentence of distingo, 5 %"


def test_plural_forms() -> None:
    expected = {"en": ["1 picture", "2 pictures"], "es": ["1 imagen", "2 imágenes"], "zh": ["1 张图片", "2 张图片"]}
    for language, forms in expected.items():
        with use_language(language):  # type: ignore[arg-type]
            assert [counted(number, "picture", "pictures").replace("\u00a0", " ") for number in (1, 2)] == forms
            assert ngettext("class", "classes", 3) in {"classes", "clases", "个类别"}


@pytest.mark.parametrize(
    ("language", "thousands", "share", "distance", "interval"),
    [
        ("en", ["2,100", "60,000"], "86.4\u00a0%", "8.2\u00a0points", "−11.0 to +2.3"),
        ("es", ["2100", "60\u202f000"], "86.4\u00a0%", "8.2\u00a0puntos", "de −11.0 a +2.3"),
        ("zh", ["2,100", "60,000"], "86.4%", "8.2\u00a0个百分点", "−11.0 至 +2.3"),
    ],
)
def test_numbers_are_written_as_the_language_does(
    language: str, thousands: list[str], share: str, distance: str, interval: str
) -> None:
    with use_language(language):  # type: ignore[arg-type]
        assert [count(2100), count(60_000)] == thousands
        assert percent(0.864) == share
        assert points(0.082) == distance
        assert points_range(-0.11, 0.023) == interval
        assert score_range("accuracy", 0.8, 0.9).replace("\u2060", "").endswith("90.0" + share[4:])
        assert duration(125) == "2\u00a0min\u00a005\u00a0s"
        assert setting(value=True) in {"yes", "sí", "是"}
