"""Text of any script on drawn images, without placeholders of missing glyphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from distingo.report.pages.samples import write_contact_sheet
from distingo.report.text.lettering import Lettering, _emoji_font, _fonts, _has, fallback_font, writing_of


def ink(text: str, size: int = 24, **style: bool) -> np.ndarray:
    sheet = Image.new("RGB", (400, 60), "white")
    Lettering(size, **style).draw(sheet, (10, 10), text, "#000000")
    return np.asarray(sheet)


@pytest.mark.parametrize("text", ["plain", "قطط", "猫と犬", "ß é ñ", "\udcff lone", "a猫b🐈c"])
def test_any_text_leaves_ink_where_its_width_says(text: str) -> None:
    drawn = ink(text)
    columns = np.flatnonzero((drawn.min(axis=2) < 200).any(axis=0))
    assert columns.size
    assert columns.min() >= 8
    assert columns.max() <= 10 + Lettering(24).width(text) + 3


@pytest.mark.skipif(_emoji_font() is None, reason="this machine has no color font")
def test_emoji_are_in_color_and_of_the_letters_size() -> None:
    drawn = ink("🐈").astype(int)
    colourful = drawn.max(axis=2) - drawn.min(axis=2) > 40
    assert colourful.sum() > 50
    rows = np.flatnonzero((drawn.min(axis=2) < 250).any(axis=1))
    assert rows.max() - rows.min() <= 30
    assert not (ink("🐈‍⬛") == ink("🐈")).all()


def test_each_character_takes_a_font_that_has_it() -> None:
    fonts = _fonts(24, bold=False)
    if not any(_has(font, "猫") for font in fonts):
        pytest.skip("this machine has no font with Chinese characters")
    assert not (ink("猫") == ink("\U0010ffff")).all()
    assert not (ink("猫") == ink("犬")).all()


def test_a_long_line_is_cut_and_a_long_text_wrapped() -> None:
    lettering = Lettering(16)
    cut = lettering.fit("word " * 40, 200)
    assert cut.endswith("…")
    assert lettering.width(cut) <= 200
    assert lettering.fit("a  b\nc", 200) == "a b c"
    assert lettering.fit("word", 1) == ""
    lines = lettering.wrap("one two three four five six " + "x" * 100, 120)
    assert len(lines) > 2
    assert all(lettering.width(line) <= 120 for line in lines)
    assert " ".join(lines).startswith("one two three four five six x")


def test_bold_is_bolder() -> None:
    if _fonts(24, bold=True)[0] is _fonts(24, bold=False)[0]:
        pytest.skip("this machine has no bold font")
    assert ink("bold", bold=True).mean() < ink("bold").mean()


CHINESE = "猫道路"
MISSING = "\U0010ffff"


@pytest.fixture(scope="module")
def chinese() -> tuple[str, int]:
    found = fallback_font(CHINESE[0], "zh-cn")
    if found is None:
        pytest.skip("fontconfig names no font with Chinese glyphs here; install Debian's fontconfig and fonts-noto-cjk")
    return found


def drawn(caption: str, path: Path) -> np.ndarray:
    write_contact_sheet([Image.new("L", (100, 60), 255)], [caption], path, columns=1)
    return np.asarray(Image.open(path).convert("L"))[70:]


def test_chinese_names_of_classes_are_drawn_with_their_glyphs(chinese: tuple[str, int], tmp_path: Path) -> None:
    strips = {caption: drawn(caption, tmp_path / "sheet.png") for caption in (*CHINESE, MISSING)}
    assert all((strip < 128).any() for strip in strips.values())
    different = {strip.tobytes() for strip in strips.values()}
    assert len(different) == 4, "two characters look alike: they are the box of a missing glyph"


def test_fontconfig_names_a_font_that_has_the_character(chinese: tuple[str, int]) -> None:
    file, index = chinese
    font = ImageFont.truetype(file, 20, index=index)
    assert bytes(font.getmask(CHINESE[0])) != bytes(font.getmask(MISSING))


def test_a_character_that_no_font_has_gets_none() -> None:
    assert fallback_font("\U0010fffd") is None


def test_nobody_to_ask_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    fallback_font.cache_clear()
    assert fallback_font("猫", "zh-cn") is None
    fallback_font.cache_clear()


def test_characters_take_the_form_of_their_language() -> None:
    assert [writing_of(text) for text in ("猫", "猫と犬", "고양이 猫")] == ["zh-cn", "ja", "ko"]
