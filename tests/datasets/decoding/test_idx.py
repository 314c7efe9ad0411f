"""IDX files, whole and broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from drawing import idx_bytes

from distingo.datasets.decoding.idx import load_images, load_labels, read_shape
from distingo.errors import DataError, ErrorCode
from raising import raises

VALUES = np.arange(3 * 4 * 5).reshape(3, 4, 5)


@pytest.mark.parametrize("packed", [False, True])
def test_images_come_back_whatever_the_name_says(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    content = idx_bytes(VALUES)
    path.write_bytes(gzip.compress(content) if packed else content)
    images = load_images(path)
    assert images.dtype == np.uint8
    assert np.array_equal(images, VALUES)
    assert read_shape(path) == (3, 4, 5)
    with pytest.raises(ValueError, match="read-only"):
        images[0, 0, 0] = 1


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(VALUES))
    load_images(path)
    path.write_bytes(idx_bytes(np.vstack([VALUES, VALUES])))
    assert len(load_images(path)) == 6


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "wrong_format"),
        (b"PNG" * 10, "wrong_format"),
        (idx_bytes(VALUES)[:10], "damaged_file"),
        (idx_bytes(VALUES)[:-1], "damaged_file"),
        (idx_bytes(VALUES) + b"x", "damaged_file"),
        (gzip.compress(idx_bytes(VALUES), mtime=0)[:-12], "damaged_file"),
        (idx_bytes(np.arange(3)), "wrong_format"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, code: ErrorCode) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with raises(DataError, code=code) as caught:
        load_images(path)
    assert str(path) in str(caught.value)


def test_labels_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(np.array([3, 1, 2])))
    assert load_labels(path).tolist() == [3, 1, 2]
    path.write_bytes(idx_bytes(VALUES))
    with raises(DataError, code="wrong_format"):
        load_labels(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with raises(DataError, code="damaged_file"):
        load_images(tmp_path / "gone")
