from __future__ import annotations

from dataclasses import asdict

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from distingo.models.baselines import fit_descriptors, refit_descriptors
from distingo.models.description import ModelDescription
from distingo.models.reference_data import Calibration
from distingo.runs.fields import CalibrationFields, to_record
from distingo.training.calibration import count_folds, cross_fit_head, deal_folds
from distingo.training.head_selection import fit_head, refit_head
from distingo.training.linear_models import fit_standardization


def clusters(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = np.repeat(np.arange(3), per_class)
    return (generator.normal(size=(len(targets), 6)) + np.eye(3, 6)[targets] * 2).astype(np.float32), targets


def labeled(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, 6)).astype(np.float32)
    return features, (features[:, :3] + generator.normal(size=(n, 3)) > 0.3).astype(np.float32)


@pytest.mark.parametrize(
    ("images", "validation", "folds"),
    [(302, 45, 6), (1680, 315, 5), (400, 1, 10), (90, 50, 0), (90, 0, 0), (9000, 1000, 0)],
)
def test_each_model_of_a_fold_sees_no_more_images_than_the_final_one(images: int, validation: int, folds: int) -> None:
    assert count_folds(images, validation) == folds
    if folds and folds < 10:
        assert images - images // folds <= images - validation


def test_folds_hold_every_class_evenly_and_groups_whole() -> None:
    targets = np.repeat([0, 1], [40, 20])
    folds = deal_folds(targets, None, folds=5, seed=0)
    assert [np.bincount(targets[folds == fold]).tolist() for fold in range(5)] == [[8, 4]] * 5
    groups = np.arange(60) // 4
    folds = deal_folds(targets, groups, folds=5, seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in range(15))
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}


def test_a_class_of_one_group_is_never_held_out() -> None:
    targets, groups = np.repeat([0, 1], [12, 3]), np.array([*range(12), 12, 12, 12])
    folds = deal_folds(targets, groups, folds=3, seed=0)
    assert folds[12:].tolist() == [-1] * 3
    assert min(folds[:12]) == 0


def test_each_image_is_scored_without_itself() -> None:
    """The logits of a fold are those of scikit-learn fitted on the others."""
    features, targets = clusters(20, 0)
    folds = deal_folds(targets, None, folds=4, seed=1)
    description = ModelDescription(
        "x",
        "pretrained",
        "single-label",
        ("a", "b", "c"),
        head="linear",
        settings={"task": "single-label", "regularisation": 0.1},
    )
    logits = cross_fit_head(description, [features], targets, folds)
    for fold in range(4):
        kept, held = folds != fold, folds == fold
        scaling = fit_standardization(features[kept])
        plain = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(scaling.apply(features[kept]), targets[kept])
        expected = plain.predict_proba(scaling.apply(features[held]))
        shares = np.exp(logits[held]) / np.exp(logits[held]).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(shares, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["linear", "linear-svm", "prototype", "knn"])
@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_head_solved_again_on_the_same_images_is_the_same(kind: str, task: str) -> None:
    import torch

    make = clusters if task == "single-label" else labeled
    train, validation = make(60, 0), make(30, 1)
    fitted = fit_head(kind, train, validation, classes=3, task=task)  # type: ignore[arg-type]
    again = refit_head(kind, train, fitted.settings, classes=3)
    rows = torch.from_numpy(validation[0])
    with torch.inference_mode():
        np.testing.assert_allclose(again(rows).numpy(), fitted.head(rows).numpy(), atol=0.05)


def test_a_classic_model_fitted_again_on_the_same_images_is_the_same() -> None:
    (features, targets), (others, truth) = clusters(60, 0), clusters(20, 1)
    fitted = fit_descriptors(features, targets, others, truth, 3, seed=0)
    again = refit_descriptors(fitted, features, targets, 3, seed=0)
    assert again.chosen == fitted.chosen
    np.testing.assert_array_equal(again.predict_probabilities(others), fitted.predict_probabilities(others))


def test_machines_for_several_labels_are_not_fitted_again() -> None:
    (features, targets), (others, truth) = labeled(60, 0), labeled(40, 1)
    fitted = fit_descriptors(features, targets, others, truth, 3, seed=0)
    if fitted.can_refit():
        again = refit_descriptors(fitted, features, targets, 3, seed=0)
        np.testing.assert_array_equal(again.predict_probabilities(others), fitted.predict_probabilities(others))
    else:
        with pytest.raises(ValueError, match="can't be fitted again"):
            refit_descriptors(fitted, features, targets, 3, seed=0)


def test_the_order_of_classes_stays() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7))
    calibrated = Calibration(0.3, (0.0,) * 7).apply(logits)
    np.testing.assert_array_equal(calibrated.argsort(axis=1), logits.argsort(axis=1))
    np.testing.assert_allclose(Calibration(2.0, (1.0, -1.0)).apply(np.ones((1, 2))), [[3, 1]])


def test_it_comes_back_from_json_and_its_slope_is_above_0() -> None:
    calibration = Calibration(1.5, (0.25, -0.5))
    assert to_record(msgspec.convert(asdict(calibration), CalibrationFields), Calibration) == calibration
    with pytest.raises(msgspec.ValidationError, match="slope"):
        msgspec.convert({"slope": 0, "offsets": []}, CalibrationFields)
