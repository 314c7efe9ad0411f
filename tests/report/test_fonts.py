"""Characters of any script on drawn pictures: glyphs, not the box of a missing one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from distingo.report.pages.samples import write_contact_sheet
from distingo.report.text.lettering import fallback_font, writing_of

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
