from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distingo.curation.appearance import small_images
from distingo.curation.exploring import DESCRIPTORS, MapOptions, choose_embedding, embed, explore
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.errors import ModelError, UsageError
from distingo.records import Dataset
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes, draw_labels


@pytest.fixture(autouse=True)
def _no_weights_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def read(root: Path, cache: Cache) -> Dataset:
    return read_dataset(root, Reading(cache=cache), products=[small_images(cache)])


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(cache=Cache(tmp_path / "cache"), workers=2)


def test_a_map_by_pixels_tells_colors_apart(tmp_path: Path, reading: Reading) -> None:
    dataset = read(draw_classes(tmp_path / "data", per_class=12), reading.cache)
    found = explore(dataset, reading, MapOptions())
    drawn = found.image_map
    assert drawn is not None
    assert found.why_no_map == ""
    assert len(found.appearances) == 4
    assert drawn.places.shape == (36, 2)
    assert "pixels" in drawn.embedded_by
    assert "16 pixels" in str(drawn.reason)
    assert (drawn.total, drawn.nearest, drawn.seed) == (36, 10, 0)
    assert min(each.own for each in drawn.neighborhoods) > 0.9
    again = explore(dataset, reading, MapOptions()).image_map
    assert again is not None
    assert np.array_equal(drawn.places, again.places)


def test_of_many_images_a_sample_is_drawn(tmp_path: Path, reading: Reading) -> None:
    dataset = read(draw_classes(tmp_path / "data", per_class=12), reading.cache)
    maps = [explore(dataset, reading, MapOptions(most=20, seed=seed)).image_map for seed in (0, 0, 1)]
    files = [[image.source.file for image in each.images] for each in maps if each]
    assert [len(each) for each in files] == [20, 20, 20]
    assert files[0] == files[1] != files[2]
    assert maps[0] is not None
    assert maps[0].total == 36


def test_photos_are_laid_out_by_descriptors_without_weights(tmp_path: Path, reading: Reading) -> None:
    dataset = read(draw_classes(tmp_path / "data", per_class=4, size=70), reading.cache)
    embedding = choose_embedding(dataset.images, reading.cache)
    assert embedding.name == DESCRIPTORS
    assert "fetch-weights fast" in str(embedding.reason)
    images, features = embed(embedding, dataset.images, reading)
    assert images == dataset.images
    assert features.shape == (12, 52)
    assert np.abs(features.mean(axis=0)).max() < 1e-5


def test_photos_are_laid_out_by_a_backbone_that_is_named(tmp_path: Path, reading: Reading) -> None:
    folder = write_backbone(tmp_path / "hub folder")
    dataset = read(draw_classes(tmp_path / "data", per_class=4), reading.cache)
    embedding = choose_embedding(dataset.images, reading.cache, weights=folder)
    assert "of hub folder," in embedding.description
    assert str(folder) not in embedding.description
    _, features = embed(embedding, dataset.images, reading)
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_a_image_that_is_gone_is_on_no_map(tmp_path: Path, reading: Reading) -> None:
    dataset = read(draw_classes(tmp_path / "data", per_class=4, size=70), reading.cache)
    dataset.images[0].source.path.unlink()
    Image.new("RGB", (70, 70)).save(dataset.images[5].source.path)
    drawn = explore(dataset, reading, MapOptions()).image_map
    assert drawn is not None
    assert len(drawn.images) == 10
    assert drawn.total == 12


def test_several_labels(tmp_path: Path, reading: Reading) -> None:
    dataset = read(draw_labels(tmp_path / "data", count=24), reading.cache)
    found = explore(dataset, reading, MapOptions())
    assert [each.name for each in found.appearances] == ["", "large", "red", "round"]
    assert sum(each.number for each in found.appearances[1:]) == sum(len(each.labels) for each in dataset.images)
    assert found.image_map is not None
    assert {each.name for each in found.image_map.neighborhoods} == {"large", "red", "round"}


def test_without_a_map_it_is_said_why(tmp_path: Path, reading: Reading) -> None:
    dataset = read(draw_classes(tmp_path / "data", per_class=2), reading.cache)
    assert "not requested" in explore(dataset, reading, None).why_no_map
    few = explore(dataset, reading, MapOptions())
    assert few.image_map is None
    assert "8 pictures at least" in few.why_no_map


def test_models_that_do_not_embed(tmp_path: Path, reading: Reading) -> None:
    dataset = read(draw_classes(tmp_path / "data", per_class=3), reading.cache)
    with raises(UsageError, code="option_not_applicable", parameter="model"):
        choose_embedding(dataset.images, reading.cache, model="small-cnn")
    with raises(ModelError, code="unknown_name", parameter="model"):
        choose_embedding(dataset.images, reading.cache, model="mobilenetv4_konv")
