"""What `inspect` adds to the page about a data set: colors, mean images, the wall, the map."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from run_folders import HOSTILE, draw_image

import distingo
from distingo.cli import main
from distingo.errors import ResourceError, UsageError
from raising import raises
from tiny_datasets import draw_classes, draw_labels


def page_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\u00a0", " ")


def map_data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="map-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_explores(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "colours", per_class=20)
    distingo.inspect(data, tmp_path / "page.html")
    page = page_of(tmp_path / "page.html")
    assert page.count("<circle class=") == 60 + 1  # and the ring
    assert "evaluated by their pixels" in page
    assert "the median of their shorter sides is 16 pixels" in page
    assert "t-SNE (perplexity 19.7, seed 0)" in page
    assert "mean picture of blue" in page
    assert "A wall of them" in page
    assert "Size of the files" in page
    assert "are not on it" not in page
    content = map_data(page)
    assert content["labels"] == ["blue", "green", "red"]
    assert sorted(image[0] for image in content["pictures"]) == sorted(
        f"{name}/{at:03}.png" for name in ("blue", "green", "red") for at in range(20)
    )
    assert "http" not in page.replace("http-equiv", "")


def test_the_same_seed_draws_the_same_map(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "colours", per_class=8)
    pages = []
    for name, seed in (("one", 0), ("two", 0), ("three", 7)):
        distingo.inspect(data, tmp_path / f"{name}.html", seed=seed)
        pages.append((tmp_path / f"{name}.html").read_bytes())
    assert pages[0] == pages[1] != pages[2]


def test_without_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "colours", per_class=8)
    assert main(["inspect", str(data), "-o", str(tmp_path / "page.html"), "--no-map"]) == 0
    assert "24 usable pictures" in capsys.readouterr().out
    page = page_of(tmp_path / "page.html")
    assert "No map: it was not requested." in page
    assert "map-data" not in page.partition("<script>")[0]
    assert "mean picture of all" in page


def test_several_labels_are_explained(tmp_path: Path) -> None:
    distingo.inspect(draw_labels(tmp_path / "data", count=48), tmp_path / "page.html")
    page = page_of(tmp_path / "page.html")
    assert "A picture has the color of the rarest of its labels." in page
    assert '<th scope="col">Label</th>' in page
    assert [] in [image[1] for image in map_data(page)["pictures"]]


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    for at in range(10):
        draw_image(tmp_path / "data" / "plain" / f"{at}.png", 20 * at)
        draw_image(tmp_path / "data" / "قطط" / f"{at}.png", 20 * at + 5, (30, 40))
    lines = [f"plain/{at}.png,{evil}" for at in range(10)] + [f"قطط/{at}.png,{HOSTILE}" for at in range(10)]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(["file,label", *lines]), encoding="utf-8")
    distingo.inspect(tmp_path / "data" / "labels.csv", tmp_path / "page.html")
    page = page_of(tmp_path / "page.html")
    assert evil not in page
    assert HOSTILE not in page
    assert set(map_data(page)["labels"]) == {evil, HOSTILE}


def test_gray_images_have_no_colors_to_tell_of(tmp_path: Path) -> None:
    for at in range(10):
        draw_image(tmp_path / "data" / "ab"[at % 2] / f"{at}.png", 20 * at)
    distingo.inspect(tmp_path / "data", tmp_path / "page.html")
    page = page_of(tmp_path / "page.html")
    assert "Brightness" in page
    assert "Saturation" not in page
    assert "Mean color" not in page


def test_mistakes_are_told_before_a_page_is_written(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "colours", per_class=4)
    with raises(UsageError, code="option_not_applicable", parameter="model"):
        distingo.inspect(data, tmp_path / "page.html", model="small-cnn")
    (tmp_path / "mine.html").write_text("<p>mine", encoding="utf-8")
    with raises(ResourceError, code="already_exists", parameter="output"):
        distingo.inspect(data, tmp_path / "mine.html")
    assert not (tmp_path / "page.html").exists()
