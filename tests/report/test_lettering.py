from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from distingo.report.text.lettering import Lettering, _emoji_font, _fonts, _has


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


@pytest.mark.skipif(_emoji_font() is None, reason="this machine has no colour font")
def test_emoji_are_in_colour_and_of_the_letters_size() -> None:
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
