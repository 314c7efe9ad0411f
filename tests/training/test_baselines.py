from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.errors import UsageError
from distingo.metrics.thresholds import choose_thresholds
from distingo.models.baselines import fit_prevalence
from distingo.models.description import ModelDescription
from distingo.models.saved import SavedModel, assemble_network, load_model, save_model
from distingo.prediction.classifier import descriptors_product, input_product
from distingo.prediction.predictor import Predictor
from distingo.records import ImageSpec, encode_labels
from distingo.training.baselines import fit_classic, with_thresholds
from distingo.training.recipe import Recipe
from raising import raises
from tiny_datasets import LABELS, draw_labels

FEATURES = np.zeros((4, 5), np.float32)


ONE, SEVERAL = np.array([0, 1, 1, 1]), np.array([[1, 0], [0, 0], [1, 1], [0, 0]], dtype=bool)


def test_prevalence_is_fitted_saved_and_read_again(tmp_path: Path) -> None:
    description = ModelDescription("prevalence", "classic", "multi-label", ("a", "b"))
    save_model(tmp_path, fit_classic(description, (FEATURES, SEVERAL), (FEATURES, SEVERAL), seed=0))
    classic = load_model(tmp_path).classic
    assert classic is not None
    np.testing.assert_array_equal(classic.predict_probabilities(FEATURES), [[0.5, 0.25]] * 4)


@pytest.mark.parametrize(
    ("name", "targets"),
    [("prevalence", ONE), ("majority", SEVERAL)],
)
def test_a_floor_for_the_other_task_is_refused(name: str, targets: np.ndarray) -> None:
    description = ModelDescription(name, "classic", "single-label", ("a", "b"))
    with raises(UsageError, code="option_not_applicable", parameter="model"):
        fit_classic(description, (FEATURES, targets), (FEATURES, targets), seed=0)


DEVICE = torch.device("cpu")


DESCRIPTION = ModelDescription("poster-cnn", "network", "multi-label", LABELS, ImageSpec(16, 16, 3))


def recipe(**fields: object) -> Recipe:
    return Recipe(model="poster-cnn", height=16, width=16, **fields)  # type: ignore[arg-type]


def test_they_fit_the_probabilities_of_the_validation_images(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SavedModel(DESCRIPTION, network=assemble_network(DESCRIPTION).eval())
    cache = Cache(tmp_path / "cache")
    images = read_dataset(
        draw_labels(tmp_path / "data", count=24), Reading(cache=cache), products=[input_product(model, cache, DEVICE)]
    ).images
    chosen = with_thresholds(model, images, recipe(), cache=cache, device=DEVICE).description.thresholds

    predictions = Predictor(model, "cpu", engine="torch").predict([image.source.path for image in images], topk=3)
    by_name = [dict(zip(each.labels, each.probabilities, strict=True)) for each in predictions]
    said = np.array([[each[name] for name in LABELS] for each in by_name], np.float32)
    truth = encode_labels(images, LABELS, "multi-label")
    assert chosen == choose_thresholds(truth, said, labels=LABELS)


@pytest.mark.parametrize(("aim", "wanted"), [("recall", 0.9), ("precision", 0.4)])
def test_they_serve_what_the_recipe_asks_for(tmp_path: Path, aim: str, wanted: float) -> None:
    cache = Cache(tmp_path / "cache")
    data = draw_labels(tmp_path / "data", count=24)
    images = read_dataset(data, Reading(cache=cache), products=[descriptors_product(cache)]).images
    classic = fit_prevalence(encode_labels(images, LABELS, "multi-label"))
    model = SavedModel(ModelDescription("prevalence", "classic", "multi-label", LABELS), classic=classic)
    asked = recipe(threshold_aim=aim, threshold_target=wanted)
    chosen = with_thresholds(model, images, asked, cache=cache, device=DEVICE).description.thresholds
    assert chosen is not None
    assert (chosen.aim, chosen.wanted, len(chosen.values)) == (aim, wanted, 3)


def test_a_model_of_one_label_has_none(tmp_path: Path) -> None:
    model = SavedModel(ModelDescription("majority", "classic", "single-label", ("a", "b")))
    assert with_thresholds(model, (), recipe(), cache=Cache(tmp_path), device=DEVICE) is model
