"""PNG sheets of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distingo.report.pages.samples import write_contact_sheet


def test_images_lie_in_rows_and_keep_their_pixels(tmp_path: Path) -> None:
    images = [np.full((100, 120, 3), shade, dtype=np.uint8) for shade in (10, 90, 170)]
    path = write_contact_sheet(images, ["", "", ""], tmp_path / "sheet.png", columns=2)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (230, 270, 3)
    assert (sheet[10:110, 10:130] == 10).all()
    assert (sheet[10:110, 140:260] == 90).all()
    assert (sheet[120:220, 10:130] == 170).all()
    assert (sheet[120:220, 140:260] == 255).all()


def test_tiny_images_are_enlarged_without_smoothing(tmp_path: Path) -> None:
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
