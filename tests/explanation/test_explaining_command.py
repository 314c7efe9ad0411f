from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corner_images import MARKED, PLAIN, draw
from distingo.cli import main


def test_explain_draws_and_tells(
    corner_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, sheet, layers = tmp_path / "Bär 🐻.png", tmp_path / "out" / "why.png", tmp_path / "layers.png"
    draw(7, marked=True).save(image)
    words = ["explain", str(corner_runs["cnn"]), str(image), "-o", str(sheet), "--layers", str(layers)]
    assert main([*words, "--class", MARKED, "--class", PLAIN]) == 0
    said = capsys.readouterr().out
    assert f"says {MARKED} (" in said
    assert f"What speaks for {PLAIN}:" in said
    assert "Covering the hottest fifth lowers the probability from" in said
    assert "none of 40 random covers mattered as much" in said
    for path in (sheet, layers):
        drawn = np.asarray(Image.open(path))
        assert drawn.shape[1] > 1000
        assert drawn.std() > 20
    assert main(words) == 1
    assert "exists already" in capsys.readouterr().err


def test_an_output_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "run", "a.png"]) == 2
    assert "-o" in capsys.readouterr().err
