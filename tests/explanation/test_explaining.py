"""Explanations of images whose class depends on a known part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import distingo
from corner_images import CORNER, MARKED, PLAIN, SIZE, draw, hottest_point, is_in_corner
from distingo.errors import DataError, ModelError, ResourceError, RunError, UsageError
from distingo.messages.notes import note
from distingo.report.thumbnails import draw_heat
from raising import raises
from tiny_datasets import draw_classes, draw_labels


@pytest.fixture
def image(tmp_path: Path) -> Path:
    draw(7, marked=True).save(tmp_path / "neu.png")
    return tmp_path / "neu.png"


@pytest.mark.parametrize(("run", "method"), [("cnn", "maps"), ("frozen", "maps"), ("descriptors", "covering")])
def test_the_map_is_hot_where_the_class_shows(corner_runs: dict[str, Path], image: Path, run: str, method: str) -> None:
    explanation = distingo.explain(corner_runs[run], image)
    (explained,) = explanation.classes
    assert explained.heat.label == explanation.labels[0] == MARKED
    assert explained.heat.method == method
    assert explained.heat.values.max() == pytest.approx(1)
    assert is_in_corner(hottest_point(explanation), margin=9)


@pytest.mark.parametrize("run", ["cnn", "frozen"])
def test_covering_the_hot_part_matters_more_than_chance(corner_runs: dict[str, Path], image: Path, run: str) -> None:
    check = distingo.explain(corner_runs[run], image).classes[0].check
    assert check is not None
    assert check.share == pytest.approx(0.2, abs=0.01)
    assert len(check.random) == len(check.random_falls) == 40
    assert check.hottest < check.before
    assert check.fall > np.median(check.random_falls)
    assert check.is_meaningful


def test_neighbors_whose_gradient_is_zero_are_explained_by_covering(corner_runs: dict[str, Path], image: Path) -> None:
    explanation = distingo.explain(corner_runs["knn"], image)
    assert explanation.classes[0].heat.method in {"maps", "covering"}
    assert is_in_corner(hottest_point(explanation), margin=9)


@pytest.mark.parametrize("run", ["cnn", "frozen"])
def test_a_turned_file_is_explained_like_the_upright_one(
    corner_runs: dict[str, Path], image: Path, tmp_path: Path, run: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    Image.open(image).rotate(90, expand=True).save(turned, exif=exif)
    straight, other = (distingo.explain(corner_runs[run], path) for path in (image, turned))
    assert (straight.image == other.image).all()
    assert straight.seen == other.seen
    assert (straight.classes[0].heat.values == other.classes[0].heat.values).all()


def test_a_crop_puts_the_map_where_its_pixels_are(corner_runs: dict[str, Path], image: Path) -> None:
    explanation = distingo.explain(corner_runs["frozen"], image)
    left, top, right, bottom = explanation.seen
    # 48 pixels of the shorter side times the backbone's crop of 0.875, in the middle
    assert (right - left) * SIZE[0] == pytest.approx(42, abs=0.5)
    assert (bottom - top) * SIZE[1] == pytest.approx(42, abs=0.5)
    assert (left + right, top + bottom) == pytest.approx((1, 1), abs=0.02)
    drawn = np.asarray(draw_heat(explanation.image, explanation.seen, explanation.classes[0].heat.values), float)
    gray = drawn.max(axis=2) - drawn.min(axis=2)
    assert gray[:, :14].max() == gray[:, -14:].max() == 0
    heat = drawn[..., 0] - drawn[..., 2]
    assert heat[CORNER[1] : CORNER[3], CORNER[0] : CORNER[2]].mean() > heat[4:20, 16:34].mean() + 60


def test_the_same_twice(corner_runs: dict[str, Path], image: Path) -> None:
    first, second = (distingo.explain(corner_runs["frozen"], image) for _ in range(2))
    assert first.probabilities == second.probabilities
    assert first.notes == second.notes == ()
    assert (first.classes[0].heat.values == second.classes[0].heat.values).all()
    assert first.classes[0].check == second.classes[0].check


@pytest.mark.parametrize("run", ["cnn", "frozen", "descriptors"])
def test_the_nearest_training_images_are_of_its_kind(corner_runs: dict[str, Path], image: Path, run: str) -> None:
    neighbors = distingo.explain(corner_runs[run], image, neighbors=5).neighbors
    assert len({neighbor.file for neighbor in neighbors}) == 5
    assert {neighbor.labels for neighbor in neighbors} == {(MARKED,)}
    distances = [neighbor.distance for neighbor in neighbors]
    assert distances == sorted(distances)
    assert all(neighbor.image is not None and neighbor.image.shape == (48, 72, 3) for neighbor in neighbors)


def test_a_training_image_is_its_own_nearest(corner_runs: dict[str, Path]) -> None:
    run = corner_runs["frozen"]
    split = (run / "split.csv").read_text(encoding="utf-8").splitlines()
    file = next(line.split(",")[0] for line in split if ",train," in line)
    explanation = distingo.explain(run, run.parent / "pictures" / file, neighbors=1)
    assert explanation.notes == (note("image-on-split-of-run", split=note("train")),)
    nearest = explanation.neighbors[0]
    assert nearest.file == file
    assert nearest.distance == pytest.approx(0, abs=0.01)


def test_a_run_without_a_bank_reports_it(corner_runs: dict[str, Path], image: Path, tmp_path: Path) -> None:
    from tiny_runs import copy_run

    run = copy_run(corner_runs["frozen"], tmp_path / "run")
    (run / "model" / "bank.safetensors").unlink()
    explanation = distingo.explain(run, image)
    assert explanation.neighbors == ()
    assert note("no-features-stored") in explanation.notes


def test_requested_classes_are_explained_in_order(corner_runs: dict[str, Path], image: Path) -> None:
    explanation = distingo.explain(corner_runs["cnn"], image, classes=[PLAIN, MARKED, PLAIN])
    assert [explained.heat.label for explained in explanation.classes] == [PLAIN, MARKED]
    probabilities = dict(zip(explanation.labels, explanation.probabilities, strict=True))
    assert [explained.probability for explained in explanation.classes] == [probabilities[PLAIN], probabilities[MARKED]]
    assert not is_in_corner(hottest_point(explanation, 0)) or explanation.classes[0].heat.is_empty


def test_several_labels_are_explained_each(tmp_path: Path) -> None:
    data = draw_labels(tmp_path / "shapes")
    run = tmp_path / "run"
    distingo.train(data / "labels.csv", run, model="small-cnn", image_size=16, epochs=3, cache=tmp_path / "cache")
    explanation = distingo.explain(run, data / "pictures" / "007.png")
    assert explanation.task == "multi-label"
    if explanation.given:
        assert tuple(explained.heat.label for explained in explanation.classes) == explanation.given
    else:
        assert [explained.heat.label for explained in explanation.classes] == [explanation.labels[0]]
        assert explanation.notes[-1] == note("no-label-reaches-threshold")
    assert distingo.explain(run, data / "pictures" / "007.png", classes=["round"]).classes[0].heat.label == "round"


def test_what_can_not_be_explained_is_refused(corner_runs: dict[str, Path], image: Path, tmp_path: Path) -> None:
    run = corner_runs["cnn"]
    with raises(UsageError, code="unknown_name", parameter="classes"):
        distingo.explain(run, image, classes=["plane"])
    with raises(DataError, code="unreadable_image"):
        distingo.explain(run, tmp_path / "absent.png")
    with raises(RunError, code="wrong_folder"):
        distingo.explain(tmp_path / "absent", image)
    with raises(UsageError, code="invalid_file_name", naming="'.jpg'"):
        distingo.explain(run, image, output=tmp_path / "a.jpg")
    with raises(UsageError, code="options_conflict", parameter="output"):
        distingo.explain(run, image, output=tmp_path / "a.png", layers=tmp_path / "a.png")
    with raises(ModelError, code="option_not_applicable", parameter="layers"):
        distingo.explain(corner_runs["descriptors"], image, layers=tmp_path / "layers.png")
    with raises(ResourceError, code="already_exists"):
        distingo.explain(run, image, output=image)
    assert not list(tmp_path.glob("*layers*"))


def test_the_majority_has_nothing_to_explain(tmp_path: Path, image: Path) -> None:
    data = draw_classes(tmp_path / "colours", per_class=6)
    distingo.train(data, tmp_path / "run", model="majority", cache=tmp_path / "cache")
    with raises(ModelError, code="cannot_explain"):
        distingo.explain(tmp_path / "run", image)
