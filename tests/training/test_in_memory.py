"""Training on images in memory: preprocessing, held-out images and defaults are those of a run."""

from __future__ import annotations

import numpy as np
from PIL import Image

from distingo.datasets.cache.store import Cache
from distingo.errors import DataError
from distingo.prediction.predictor import Predictor
from distingo.runs.folder import RunFolder
from distingo.training import in_memory
from distingo.training.in_memory import InMemoryImages, train_in_memory
from raising import raises


def blocks(count: int, size: int, seed: int = 0) -> list[np.ndarray]:
    """Gray images of random blocks, each unlike the others."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8)).astype(np.uint8)
    return [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.NEAREST)) for image in coarse]


def held_out(images, labels, tmp_path, **requested):
    given = InMemoryImages(
        images=images,
        labels=labels,
        classes=tuple(sorted(set(labels))),
        requested={"model": "descriptors", "test": 0.01, **requested},
    )
    cache = Cache(tmp_path / "cache")
    chosen = in_memory._choose(given, cache)
    split = in_memory._hold_out(chosen, RunFolder(tmp_path / "run"), cache, workers=1)
    places = [{int(image.source.file) for image in split_name} for split_name in (split.train, split.validation)]
    return chosen, places


def test_validation_is_cut_alike_from_every_class(tmp_path):
    images = blocks(40, 16)
    labels = ["a"] * 20 + ["b"] * 20
    chosen, (train, validation) = held_out(images, labels, tmp_path, validation=0.2)
    assert sorted(train | validation) == list(range(40))
    assert [sum(at < 20 for at in validation), sum(at >= 20 for at in validation)] == [4, 4]
    assert (chosen.recipe.height, chosen.recipe.width, chosen.recipe.channels) == (16, 16, 1)


def test_images_that_are_given_twice_are_on_one_split(tmp_path):
    images = blocks(20, 16)
    labels = ["a", "b"] * 10
    _, (train, validation) = held_out([*images, *images], [*labels, *labels], tmp_path, validation=0.3)
    assert validation
    assert {at % 20 for at in train}.isdisjoint({at % 20 for at in validation})


def test_mirrored_images_are_on_one_split(tmp_path):
    images = blocks(20, 64)
    labels = ["a", "b"] * 10
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    _, (train, validation) = held_out([*images, *mirrored], [*labels, *labels], tmp_path, validation=0.3)
    assert validation
    assert {at % 20 for at in train}.isdisjoint({at % 20 for at in validation})


def test_a_class_of_one_image_is_on_the_training_split(tmp_path):
    images = blocks(11, 16)
    _, (train, validation) = held_out(images, [*["a"] * 10, "b"], tmp_path, validation=0.5)
    assert 10 in train
    assert validation


def test_deep_images_decide_their_range_once_and_are_rendered_by_it():
    values = np.zeros((20, 16, 16), np.uint16)
    values[::2] = 1000 + np.arange(256, dtype=np.uint16).reshape(16, 16)
    values[1::2] = 3000 + np.arange(256, dtype=np.uint16).reshape(16, 16)
    values += np.arange(20, dtype=np.uint16)[:, None, None]
    model = train_in_memory(
        InMemoryImages(
            images=list(values),
            labels=["dark", "bright"] * 10,
            classes=("dark", "bright"),
            requested={"model": "descriptors", "test": 0.01},
        )
    )
    value_range = model.description.value_ranges.unsigned
    assert (value_range.black, value_range.white) == (0, 4095)
    named = Predictor(model).predict([values[0], values[1]])
    assert [prediction.labels[0] for prediction in named] == ["dark", "bright"]


def test_the_model_is_as_a_run_would_keep_it():
    labels = ["a", "b"] * 20
    images = [image // (1 + 3 * (at % 2)) for at, image in enumerate(blocks(40, 16))]
    given = InMemoryImages(
        images=images, labels=labels, classes=("a", "b"), requested={"model": "descriptors", "test": 0.01, "seed": 3}
    )
    model = train_in_memory(given)
    assert model.description.calibration is not None
    assert model.calibration_set is not None
    assert model.bank is not None
    provenance = model.description.provenance
    assert (provenance["data"], provenance["seed"], provenance["test_pictures"]) == ("images in memory", 3, 0)
    assert provenance["train_pictures"] + provenance["validation_pictures"] == 40


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    given = InMemoryImages(
        images=[*blocks(3, 16), broken],
        labels=["a", "b", "a", "b"],
        classes=("a", "b"),
        requested={"model": "majority", "test": 0.01},
    )
    with raises(DataError, code="damaged_image", naming="broken.png"):
        train_in_memory(given)
