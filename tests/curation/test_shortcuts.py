from pathlib import Path

import numpy as np
from PIL import Image

from distingo.curation.checking import measurements_product
from distingo.curation.shortcuts import (
    Shortcut,
    find_file_shortcuts,
    find_shortcuts,
    imbalance_findings,
    shortcut_findings,
)
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.messages.notes import note, read_sentences


def draw(root: Path, *, formats: tuple[str, str], levels: tuple[int, int], each: int = 30) -> Path:
    generator = np.random.default_rng(0)
    for name, form, level in zip(("a", "b"), formats, levels, strict=True):
        (root / name).mkdir(parents=True)
        for at in range(each):
            pixels = generator.integers(level, level + 100, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{at}.{form}")
    return root


def found(root: Path) -> dict[str, float]:
    cache = Cache()
    product = measurements_product(cache)
    dataset = read_dataset(root, Reading(cache=cache), products=[product])
    rows = product.store.rows([image.content for image in dataset.images]).take(np.arange(len(dataset.images)))
    return {shortcut.name: shortcut.score for shortcut in find_shortcuts(dataset, rows)}


def test_the_format_of_the_file_gives_a_class_away(tmp_path):
    scores = found(draw(tmp_path / "data", formats=("png", "jpg"), levels=(50, 50)))
    assert scores["format"] == scores["metadata"] == 1
    assert {f"property-{name.replace(' ', '-')}" for name in scores} <= read_sentences().keys()
    assert scores["file size"] == 1
    assert scores["mean color"] < 0.4


def test_brightness_gives_a_class_away(tmp_path):
    scores = found(draw(tmp_path / "data", formats=("png", "png"), levels=(0, 120)))
    assert scores["brightness"] == scores["mean color"] == 1
    assert "dimensions" not in scores  # all images have one size
    assert scores["sharpness"] < 0.5


def test_few_images_have_no_shortcut(tmp_path):
    assert found(draw(tmp_path / "data", formats=("png", "jpg"), levels=(50, 50), each=5)) == {}


def test_a_finding_contains_the_score_of_guessing():
    shortcut = Shortcut("file size", 0.75, 0.5, 1200)
    (finding,) = shortcut_findings([shortcut], "single-label", 0.4)
    assert finding.score == 0.5
    assert finding.counts
    assert str(finding.reason) == (
        "file size alone reaches a balanced accuracy of 75% where guessing has 50% (n = 1,200)"
    )


def test_classes_far_smaller_than_the_largest_are_named(tmp_path):
    root = draw(tmp_path / "data", formats=("png", "png"), levels=(0, 100), each=30)
    for path in sorted((root / "b").iterdir())[2:]:
        path.unlink()
    (finding,) = imbalance_findings(read_dataset(root, Reading(cache=Cache())), 0.9)
    assert finding.labels == ("b",)
    assert finding.counts
    assert finding.reason == note("class-sizes", name="b", count=2, largest="a", most=30)


def test_the_manifest_alone_gives_the_same_figures(tmp_path):
    root = draw(tmp_path / "data", formats=("png", "jpg"), levels=(50, 50))
    for path in sorted((root / "b").iterdir())[:20]:
        Image.open(path).resize((32, 24)).save(path)
    scores = found(root)
    dataset = read_dataset(root, Reading(cache=Cache()))
    of_files = {each.name: each.score for each in find_file_shortcuts(dataset.manifest, dataset.task)}
    assert of_files == {name: scores[name] for name in ("dimensions", "format")}
    assert 0 < of_files["dimensions"] < of_files["format"] == 1
