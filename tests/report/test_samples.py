"""Contact sheets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from distingo.report.fonts import fallback_font, writing_of
from distingo.report.samples import _font_for, _has, write_contact_sheet


def test_pictures_lie_in_rows_and_keep_their_pixels(tmp_path: Path) -> None:
    images = [np.full((100, 120, 3), shade, dtype=np.uint8) for shade in (10, 90, 170)]
    path = write_contact_sheet(images, ["", "", ""], tmp_path / "sheet.png", columns=2)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (230, 270, 3)
    assert (sheet[10:110, 10:130] == 10).all()
    assert (sheet[10:110, 140:260] == 90).all()
    assert (sheet[120:220, 10:130] == 170).all()
    assert (sheet[120:220, 140:260] == 255).all()


def test_tiny_pictures_are_enlarged_without_smoothing(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 200, (28, 28, 1), dtype=np.uint8)
    sheet = np.asarray(Image.open(write_contact_sheet([image], [""], tmp_path / "s.png", columns=4)))
    assert sheet.shape == (104, 116, 3)
    enlarged = np.kron(image[..., 0], np.ones((3, 3), dtype=np.uint8))
    assert (sheet[10:94, 16:100, 0] == enlarged).all()


@pytest.mark.parametrize("caption", ["plain", "قطط سوداء", "猫と犬", "🐈", "ß" * 300, "line\nbreak", "\udcff lone"])
def test_captions_of_any_script_leave_ink(tmp_path: Path, caption: str) -> None:
    image = Image.new("L", (100, 60), 255)
    path = write_contact_sheet([image], [caption], tmp_path / "é" / "sheet.png", columns=1)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (100, 120, 3)
    strip = sheet[70:, :].min(axis=2) < 200
    assert strip.any()
    assert not strip[:, :8].any()
    assert not strip[:, -8:].any()


def test_palette_and_mixed_sizes(tmp_path: Path) -> None:
    images = [Image.new("P", (200, 50)), Image.new("RGBA", (50, 150))]
    path = write_contact_sheet(images, ["a", ""], tmp_path / "sheet.png", columns=5)
    assert Image.open(path).size == (2 * 210 + 10, 150 + 20 + 10 + 10)


@pytest.mark.parametrize(("images", "captions", "columns"), [(0, 0, 1), (1, 2, 1), (1, 1, 0)])
def test_impossible_sheets_are_refused(tmp_path: Path, images: int, captions: int, columns: int) -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        write_contact_sheet([Image.new("L", (9, 9))] * images, [""] * captions, tmp_path / "s.png", columns=columns)
    assert not list(tmp_path.glob("*.png"))


CHINESE = "猫道路"


def chinese_font() -> ImageFont.FreeTypeFont:
    """A font of this machine with Chinese glyphs, or a skip that says what to install."""
    font = _font_for(CHINESE)
    if not (isinstance(font, ImageFont.FreeTypeFont) and all(_has(font, letter) for letter in CHINESE)):
        pytest.skip("no font with Chinese glyphs here; install Debian's fonts-noto-cjk")
    return font


def test_chinese_names_are_drawn_with_their_glyphs(tmp_path: Path) -> None:
    font = chinese_font()
    glyphs = [bytes(font.getmask(letter)) for letter in (*CHINESE, "\U0010ffff")]
    assert len(set(glyphs)) == 4, "two characters look alike: they are the box of a missing glyph"
    drawn = []
    for at, caption in enumerate((CHINESE, "猫猫猫", "\U0010ffff" * 3)):
        path = write_contact_sheet([Image.new("L", (100, 60), 255)], [caption], tmp_path / f"{at}.png", columns=1)
        drawn.append(np.asarray(Image.open(path).convert("L"))[70:])
    assert not (drawn[0] == drawn[1]).all()
    assert not (drawn[0] == drawn[2]).all()


def test_fontconfig_names_a_font_that_has_the_character() -> None:
    if shutil.which("fc-match") is None:
        pytest.skip("no fontconfig here; install Debian's fontconfig")
    chinese_font()
    found = fallback_font("猫", "zh-cn")
    assert found is not None
    assert _has(ImageFont.truetype(found[0], 20, index=found[1]), "猫")
    assert fallback_font("\U0010fffd") is None


def test_characters_take_the_form_of_their_language() -> None:
    assert [writing_of(text) for text in ("猫", "猫と犬", "고양이 猫")] == ["zh-cn", "ja", "ko"]
