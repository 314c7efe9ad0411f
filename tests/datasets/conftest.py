"""Tiny folders of images, made by the tests themselves."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import encode, idx_bytes, noise


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """A function that draws ``{class: count}`` into class folders and gives the root."""
    counter = iter(range(10**6))

    def draw(counts: dict[str, int], root: str = "data", size: tuple[int, int] = (12, 10)) -> Path:
        folder = tmp_path / root
        for name, count in counts.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (folder / name / f"{number:03}.png").write_bytes(encode(noise(next(counter), size)))
        return folder

    return draw


@pytest.fixture
def idx_folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes IDX files with so many images of three classes and gives the root."""

    def write(train: int = 30, test: int = 12, *, packed: bool = True, root: str = "idx") -> Path:
        folder = tmp_path / root
        folder.mkdir()
        rng = np.random.default_rng(5)
        for prefix, count in (("train", train), ("t10k", test)):
            if not count:
                continue
            arrays = {
                f"{prefix}-images-idx3-ubyte": rng.integers(0, 256, (count, 6, 5)),
                f"{prefix}-labels-idx1-ubyte": np.arange(count) % 3,
            }
            for name, values in arrays.items():
                content = idx_bytes(values)
                (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
        return folder

    return write
