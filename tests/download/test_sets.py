"""The demo data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from distingo.download.sets import write_digits
from distingo.errors import ResourceError, UsageError
from raising import raises


def test_all_digits_are_written_once(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    folder = tmp_path / "demo" / "digits"
    assert write_digits(folder) == 1797
    assert sorted(path.name for path in folder.iterdir()) == [str(digit) for digit in range(10)]
    assert len(list(folder.glob("*/*.png"))) == 1797
    image = Image.open(folder / "0" / "digit-0000.png")
    assert (image.mode, image.size) == ("L", (32, 32))
    small = np.asarray(image.resize((8, 8), Image.Resampling.BOX), float)
    assert np.corrcoef(small.ravel(), load_digits().images[0].ravel())[0, 1] > 0.98
    assert [path.name for path in folder.parent.iterdir()] == ["digits"]
    before = (folder / "0" / "digit-0000.png").stat().st_mtime_ns
    assert write_digits(folder) == 1797
    assert (folder / "0" / "digit-0000.png").stat().st_mtime_ns == before


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with raises(UsageError, code="not_empty", parameter="output"):
        write_digits(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with raises(ResourceError, code="cannot_write", parameter="output"):
        write_digits(tmp_path / "file" / "digits")
