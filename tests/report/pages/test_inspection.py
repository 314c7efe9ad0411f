"""The page of a data set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from run_folders import HOSTILE, draw_image

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.records import Dataset
from distingo.report.charts.class_balance import balance_classes, summarize_sizes
from distingo.report.pages.inspection import write_inspection


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    root = tmp_path / "pictures"
    for number in range(4):
        draw_image(root / "قطط" / f"{number}.png", 30 * number, (20 + 10 * number, 40))
    draw_image(root / "<b>dogs" / "one.png", 99, (300, 200))
    (root / "<b>dogs" / "two.png").write_bytes((root / "<b>dogs" / "one.png").read_bytes())
    (root / "<b>dogs" / "page.jpg").write_text("<!doctype html><html><body>gone</body></html>")
    return read_dataset(root, Reading(cache=Cache(tmp_path / "cache")))


def test_the_page_tells_counts_sizes_and_files_left_out(dataset: Dataset, tmp_path: Path) -> None:
    path = write_inspection(dataset, tmp_path / "page.html")
    page = path.read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "5 usable pictures" in page
    assert "2 classes" in page
    assert "2 files left out" in page
    assert "5 different sizes, from 20 × 40 to 300 × 200 pixels" in page
    assert "page.jpg" in page
    assert "two.png" in page
    assert "قطط" in page
    assert "<b>dogs" not in page
    assert "&lt;b&gt;dogs" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_dataset_with_a_hostile_name(dataset: Dataset, tmp_path: Path) -> None:
    renamed = dataclasses.replace(dataset, classes=(*dataset.classes, HOSTILE))
    assert HOSTILE not in write_inspection(renamed, tmp_path / "page.html").read_text(encoding="utf-8")


def test_sizes(dataset: Dataset) -> None:
    sizes = summarize_sizes(dataset.images)
    assert sizes is not None
    assert (sizes.distinct, sizes.smallest, sizes.largest) == (5, "20 × 40", "300 × 200")
    assert (sizes.median_width, sizes.median_height) == (40, 40)
    assert len(sizes.bubbles) == 5
    assert summarize_sizes(()) is None


def test_one_size_only(dataset: Dataset, tmp_path: Path) -> None:
    images = tuple(dataclasses.replace(image, width=28, height=28) for image in dataset.images)
    page = write_inspection(dataclasses.replace(dataset, images=images), tmp_path / "page.html").read_text()
    assert "All pictures are 28 × 28 pixels" in page


def test_balance_counts_every_label_by_side() -> None:
    rows = balance_classes([("train", ["a"]), ("train", ["a", "b"]), ("test", ["a"])], ["a", "b", "c"])
    assert [(row.name, row.number) for row in rows] == [("a", 3), ("b", 1), ("c", 0)]
    assert [(bar.split, bar.number, bar.start, bar.length) for bar in rows[0].bars] == [
        ("train", 2, 0.0, 66.667),
        ("test", 1, 66.667, 33.333),
    ]
    assert rows[2].bars == ()


def test_several_labels_show_their_number_and_their_pairs(tmp_path: Path) -> None:
    labels = ["قطط;<b>dogs", "<b>dogs", "", "قطط;<b>dogs"]
    for number in range(4):
        draw_image(tmp_path / "Bilder" / f"{number}.png", 30 * number)
    lines = [f"{number},{names}" for number, names in enumerate(labels)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,labels", *lines]), encoding="utf-8")
    several = read_dataset(tmp_path / "labels.csv", Reading(cache=Cache(tmp_path / "cache")))
    page = write_inspection(several, tmp_path / "page.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "4 usable pictures</strong> with 2 labels" in page
    assert "the task is multi-label" in page
    assert "Pictures per label" in page
    for words in ("no label", "1 label", "2 labels"):
        assert f"<bdi>{words}</bdi>" in page
    assert '<a href="#pairs">' in page
    assert "67 % of &lt;b&gt;dogs" in page
    assert "<b>dogs" not in page


def test_one_label_each_shows_no_pairs(dataset: Dataset, tmp_path: Path) -> None:
    page = write_inspection(dataset, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="pairs"' not in page
    assert "Labels per picture" not in page
    assert "Pictures per class" in page
