"""The scikit-learn estimator: forms of images, searches, pickles, and scikit-learn's own checks."""

from __future__ import annotations

import pickle
import pickletools
import tempfile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import distingo
from distingo.errors import DataError, DistingoError, ResourceError, UsageError
from distingo.sklearn import ImageClassifier
from raising import raises
from tiny_backbones import write_backbone


def color_images(count: int = 36, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images that are mostly red, green or blue: uint8 (count, size, size, 3), and their colors."""
    rng = np.random.default_rng(3)
    numbers = np.arange(count) % 3
    images = rng.integers(0, 90, (count, size, size, 3)).astype(np.uint8)
    for image, number in zip(images, numbers, strict=True):
        image[..., number] += 150
    return images, np.array(["red", "green", "blue"])[numbers]


@pytest.fixture(scope="module")
def images():
    return color_images()


@pytest.fixture(scope="module")
def fitted(images):
    return ImageClassifier("descriptors").fit(*images)


def test_an_array_of_images_is_learned(images, fitted):
    pixels, colors = images
    assert fitted.classes_.tolist() == ["blue", "green", "red"]
    assert fitted.score(pixels, colors) == 1.0
    probabilities = fitted.predict_proba(pixels)
    assert probabilities.shape == (36, 3)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert fitted.predict(pixels[:3]).tolist() == ["red", "green", "blue"]
    assert not hasattr(fitted, "n_features_in_")


def test_every_form_of_the_same_images_gives_the_same_model(images, fitted, tmp_path):
    pixels, colors = images
    paths = []
    for at, image in enumerate(pixels):
        paths.append(tmp_path / f"{at:02}.png")
        Image.fromarray(image).save(paths[-1])
    expected = fitted.predict_proba(pixels)
    forms = [
        paths,
        [str(path) for path in paths],
        np.array([str(path) for path in paths]),
        pd.Series([str(path) for path in paths]),
        pd.DataFrame({"file": [str(path) for path in paths]}),
        [Image.fromarray(image) for image in pixels],
        list(pixels),
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
    ]
    for form in forms:
        np.testing.assert_array_equal(fitted.predict_proba(form), expected)
    again = ImageClassifier("descriptors").fit(forms[0], list(colors))
    np.testing.assert_array_equal(again.predict_proba(pixels), expected)


def test_rows_of_pixels_are_images_of_the_named_shape(images, fitted):
    pixels, colors = images
    rows = pixels.reshape(len(pixels), -1)
    model = ImageClassifier("descriptors", image_shape=(12, 12, 3)).fit(rows, colors)
    assert model.n_features_in_ == 432
    np.testing.assert_array_equal(model.predict_proba(rows), fitted.predict_proba(pixels))
    with pytest.raises(ValueError, match="X has 431 features, but ImageClassifier is expecting 432"):
        model.predict(rows[:, 1:])
    with pytest.raises(ValueError, match=r"image_shape=\(5, 5\): X has 432 columns, which don't fill it"):
        clone(model).set_params(image_shape=(5, 5)).fit(rows, colors)


def test_floats_are_shown_by_their_range(images, fitted):
    pixels, colors = images
    floats = pixels.astype(np.float32) / 255
    model = ImageClassifier("descriptors", value_range=(0, 1)).fit(floats, colors)
    np.testing.assert_array_equal(model.predict_proba(floats), fitted.predict_proba(pixels))
    decided = ImageClassifier("majority").fit(floats * 40 - 7, colors).predictor_.model.description.value_ranges
    assert decided.floating.black == pytest.approx(-7, abs=0.2)
    assert decided.floating.white == pytest.approx(240 / 255 * 40 - 7, abs=0.5)


@pytest.mark.parametrize("labels", [np.array([10, 2, 33]), np.array([True, False]), np.array([1.0, 2.0]), ["a\n", "b"]])
def test_classes_of_every_type_come_back(images, labels):
    labels = np.asarray(labels)
    y = labels[np.arange(36) % len(labels)]
    model = ImageClassifier("majority").fit(images[0], y)
    assert model.classes_.tolist() == sorted(labels.tolist())
    assert model.predict(images[0][:2]).dtype == labels.dtype
    assert model.predict(images[0][:1])[0] in labels


def test_the_same_seed_gives_the_same_network_and_leaves_random_states_alone(images):
    pixels, colors = images
    options = {"model": "small-cnn", "epochs": 1, "random_state": 5}
    before = torch.random.get_rng_state()
    one, other = (ImageClassifier(**options).fit(pixels, colors).predict_proba(pixels) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    third = ImageClassifier(**options | {"random_state": 6}).fit(pixels, colors).predict_proba(pixels)
    assert np.abs(one - third).max() > 1e-6


def test_a_random_state_is_drawn_from(images):
    def seed(state) -> int:
        return (
            ImageClassifier("majority", random_state=state).fit(*images).predictor_.model.description.provenance["seed"]
        )

    state = np.random.RandomState(0)
    assert [seed(7), seed(np.int64(8))] == [7, 8]
    assert seed(np.random.RandomState(0)) == seed(state)
    assert seed(state) != seed(np.random.RandomState(0))


def test_fitting_and_pickling_leave_no_files_behind(images, tmp_path, monkeypatch):
    for name in ("here", "temporary", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("DISTINGO_CACHE", str(tmp_path / "cache"))
    model = ImageClassifier("small-cnn", epochs=1).fit(*images)
    pickle.loads(pickle.dumps(model)).predict(images[0])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("options", [{"model": "descriptors"}, {"model": "small-cnn", "epochs": 1}])
def test_a_pickle_predicts_the_same_and_names_no_network(images, options):
    model = ImageClassifier(**options).fit(*images)
    content = pickle.dumps(model)
    strings = {str(argument) for _, argument, _ in pickletools.genops(content) if isinstance(argument, str)}
    assert not [name for name in strings if name.startswith(("torch.", "distingo.models"))]
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.predict_proba(images[0]), model.predict_proba(images[0]))
    assert again.get_params() == model.get_params()


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_a_pretrained_backbone_is_fitted_and_pickled(images, tmp_path, mode):
    pixels, colors = images
    backbone = str(write_backbone(tmp_path / "tiny"))
    model = ImageClassifier(backbone, mode=mode, views=None if mode == "finetune" else "flip", epochs=1)
    model.fit(pixels, colors)
    assert model.predictor_.model.description.mode == mode
    assert mode == "finetune" or model.score(pixels, colors) == 1.0
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.predict_proba(pixels), model.predict_proba(pixels), atol=1e-6)


def test_a_saved_model_is_loaded_by_distingo(images, fitted, tmp_path):
    place = fitted.save(tmp_path / "model")
    predictions = distingo.load(place).predict(list(images[0][:3]))
    assert [prediction.labels[0] for prediction in predictions] == ["red", "green", "blue"]
    with raises(ResourceError, code="not_empty"):
        fitted.save(place)


def test_it_works_in_cross_validation_and_clones(images, tmp_path):
    pixels, colors = images
    model = ImageClassifier("descriptors", random_state=1)
    assert cross_val_score(model, pixels, colors, cv=3).tolist() == [1.0, 1.0, 1.0]
    paths = []
    for at, image in enumerate(pixels):
        paths.append(str(tmp_path / f"{at}.png"))
        Image.fromarray(image).save(paths[-1])
    assert cross_val_score(model, paths, colors, cv=2).tolist() == [1.0, 1.0]
    assert not hasattr(clone(model), "predictor_")
    assert clone(model).get_params() == model.get_params()


def test_it_works_in_a_search_over_a_pipeline(images):
    pixels, colors = images
    steps = [("invert", FunctionTransformer(lambda pixels: 255 - pixels)), ("classify", ImageClassifier("majority"))]
    search = GridSearchCV(Pipeline(steps), {"classify__model": ["majority", "descriptors"]}, cv=2)
    search.fit(pixels, colors)
    assert search.best_params_ == {"classify__model": "descriptors"}
    assert search.score(pixels, colors) == 1.0


def test_errors_are_reported_in_one_line(images, fitted, tmp_path):
    pixels, colors = images
    cases = [
        (pixels.reshape(36, -1), colors, ValueError, r"shape \(36, 432\); give paths, a list of images"),
        (pixels, colors[:-1], ValueError, "inconsistent numbers of samples"),
        (pixels, None, ValueError, "requires y to be passed"),
        (pixels, ["one"] * 36, ValueError, "2 classes or more; y has 1 class"),
        ([], [], ValueError, "0 samples"),
        ("photo.png", ["a"], ValueError, "X is one str; give a list of images"),
        ([3, 4], ["a", "b"], ValueError, "int is no image"),
        (np.full((4, 8, 8), np.nan), ["a", "b", "a", "b"], ValueError, "contains NaN"),
        ([tmp_path / "none.png", *pixels[1:]], colors, DataError, r"none\.png: .*leave it out"),
    ]
    for given, labels, kind, words in cases:
        with pytest.raises(kind, match=words):
            ImageClassifier("majority").fit(given, labels)
    with raises(DataError, code="unreadable_image", naming="none.png"):
        fitted.predict([tmp_path / "none.png"])
    with pytest.raises(NotFittedError):
        ImageClassifier().predict(pixels)
    for options in (
        {"epochs": 0},
        {"model": "small-cnn", "optimizer": "lion"},
        {"validation": 0.95},
        {"random_state": -1},
    ):
        with pytest.raises(UsageError):
            ImageClassifier(**{"model": "majority", **options}).fit(pixels, colors)
    with raises(DistingoError, code="unknown_name"):
        ImageClassifier("smal-cnn").fit(pixels, colors)


def test_a_fit_that_fails_leaves_the_estimator_unfitted(images):
    model = ImageClassifier("majority", epochs=0, image_shape=(12, 12, 3))
    with pytest.raises(UsageError):
        model.fit(images[0].reshape(36, -1), images[1])
    with pytest.raises(NotFittedError):
        model.predict(images[0].reshape(36, -1))


def test_tags_state_which_shape_is_taken():
    tags = ImageClassifier().__sklearn_tags__()
    assert (tags.estimator_type, tags.input_tags.two_d_array, tags.input_tags.three_d_array) == (
        "classifier",
        False,
        True,
    )
    assert ImageClassifier(image_shape=(8, 8)).__sklearn_tags__().input_tags.two_d_array


_CHECKED = ImageClassifier(
    "small-cnn", epochs=5, batch_size=16, image_size=8, augment="none", image_shape=(1, -1), workers=1
)
"""Takes the flat rows that scikit-learn's checks give, each as an image of one row of pixels."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([_CHECKED])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
