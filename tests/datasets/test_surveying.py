"""The quick look before decoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drawing import encode, noise

from distingo.datasets.gathering import Survey, survey
from distingo.errors import DataError
from distingo.messages.notes import note
from raising import raises


def test_medians_and_color(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 3, "b": 2}, size=(30, 20))
    (root / "a" / "odd.png").write_bytes(encode(noise(1, (300, 200))))
    (root / "b" / "page.html").write_bytes(b"<html>")
    assert survey(root) == Survey(note("class-folders"), ("a", "b"), 7, height=20, width=30, gray=False)


def test_all_gray(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(encode(noise(ord(name), channels=1)))
    assert survey(tmp_path).gray


def test_the_sample_is_spread_over_the_classes(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 40}, size=(10, 10))
    class_folders({"b": 4}, size=(90, 90))
    assert survey(root, limit=9).width in {10, 90}
    assert survey(root, limit=8).width == 50


def test_idx_files(idx_folder: Callable[..., Path]) -> None:
    found = survey(idx_folder())
    assert (found.layout.code, found.count, found.height, found.width, found.gray) == ("idx-files", 42, 6, 5, True)


def test_no_image_at_all(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"text")
    with raises(DataError, code="no_images"):
        survey(tmp_path)
