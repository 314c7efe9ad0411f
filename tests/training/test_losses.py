"""Losses equal torch's, torchvision's and what one computes by hand, and their slopes stay numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from distingo.errors import ErrorCode, UsageError
from distingo.training.losses import (
    Loss,
    asymmetric,
    balanced_class_weights,
    balanced_positive_weights,
    binary_cross_entropy,
    build_loss,
    cross_entropy,
    focal,
    focal_cross_entropy,
)
from raising import raises


def drawn(n: int = 7, labels: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(n, labels, generator=generator)
    return logits, (torch.rand(n, labels, generator=generator) < 0.3).float()


def logit(probability: float) -> torch.Tensor:
    return torch.tensor([[math.log(probability / (1 - probability))]], dtype=torch.float64)


YES, NO = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)


def test_auto_is_the_cross_entropy_that_training_has_always_used() -> None:
    logits, _ = drawn()
    soft = torch.softmax(torch.randn(7, 5, generator=torch.Generator().manual_seed(1)), dim=1)
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    loss = build_loss("auto", "single-label", label_smoothing=0.1, class_weights=weights)(logits, soft)
    assert torch.equal(loss, F.cross_entropy(logits, soft, weights, label_smoothing=0.1))


def test_auto_for_several_labels_is_torchs_binary_cross_entropy() -> None:
    logits, targets = drawn()
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    loss = build_loss("auto", "multi-label", label_smoothing=0.2, positive_weights=weights)(logits, targets)
    expected = F.binary_cross_entropy_with_logits(logits, targets * 0.8 + 0.1, pos_weight=weights)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        binary_cross_entropy(logits, targets), F.binary_cross_entropy_with_logits(logits, targets)
    )


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9), (0.5, 0.5)])
def test_focal_loss_is_torchvisions(gamma: float, alpha: float) -> None:
    logits, targets = drawn()
    expected = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction="mean")
    torch.testing.assert_close(focal(logits, targets, gamma=gamma, alpha=alpha), expected)


def test_focal_loss_of_one_label_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    loss = focal_cross_entropy(logits, torch.tensor([[0.0, 1.0, 0.0]]))
    assert loss.item() == pytest.approx(-(0.8**2) * math.log(0.2), rel=1e-5)
    weighted = focal_cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]]), class_weights=torch.tensor([2.0, 1.0, 1.0]))
    assert weighted.item() == pytest.approx(-(0.3**2) * math.log(0.7) - 0.5 * 0.8**2 * math.log(0.2), rel=1e-5)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, _ = drawn()
    targets = F.one_hot(torch.arange(7) % 5, 5).float()
    torch.testing.assert_close(
        focal_cross_entropy(logits, targets, gamma=0, label_smoothing=0.1),
        cross_entropy(logits, targets, label_smoothing=0.1),
    )


def test_asymmetric_loss_by_hand() -> None:
    assert asymmetric(logit(0.3), YES).item() == pytest.approx(-math.log(0.3))
    assert asymmetric(logit(0.3), NO).item() == pytest.approx(-(0.25**4) * math.log(0.75))
    assert asymmetric(logit(0.04), NO).item() == 0.0
    assert asymmetric(logit(0.3), YES, gamma_positive=1).item() == pytest.approx(-0.7 * math.log(0.3))
    assert asymmetric(logit(0.3), NO, gamma_negative=2, margin=0).item() == pytest.approx(-(0.3**2) * math.log(0.7))
    halved = asymmetric(logit(0.3), YES, positive_weights=torch.tensor([0.5]), label_smoothing=0.2).item()
    assert halved == pytest.approx(-0.9 * 0.5 * math.log(0.3) - 0.1 * 0.25**4 * math.log(0.75))


def test_asymmetric_loss_without_its_settings_is_binary_cross_entropy() -> None:
    logits, targets = drawn()
    plain = asymmetric(logits, targets, gamma_positive=0, gamma_negative=0, margin=0)
    torch.testing.assert_close(plain, binary_cross_entropy(logits, targets))


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy", "asymmetric", "focal", "focal of one"])
@pytest.mark.parametrize("size", [0.0, 20.0, 100.0, 1e4])
def test_slopes_are_numbers_at_extreme_logits(name: str, size: float) -> None:
    single = name in {"cross-entropy", "focal of one"}
    loss = build_loss(name.removesuffix(" of one"), "single-label" if single else "multi-label", label_smoothing=0.1)
    logits = torch.tensor([[size, -size], [-size, size], [size, size]], requires_grad=True)
    value = loss(logits, torch.tensor([[1.0, 0.0]] * 3))
    value.backward()
    assert torch.isfinite(value)
    assert value.dtype == torch.float32
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    if size == 20.0:
        assert logits.grad[1].abs().sum() > 1e-3  # what is wrong is pulled back however sure it is


@pytest.mark.parametrize(
    "loss", [focal, asymmetric, focal_cross_entropy, lambda x, y: asymmetric(x, y, gamma_positive=1.0, margin=0.0)]
)
def test_slopes_are_those_of_the_loss(loss: Loss) -> None:
    logits, targets = drawn(3, 4)
    logits = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, targets.double()), (logits,))


def test_class_weights_are_inverse_frequencies() -> None:
    weights = balanced_class_weights(np.array([0, 0, 0, 1]), 3)
    np.testing.assert_allclose(weights, [4 / 9, 4 / 3, 4 / 3], rtol=1e-6)


def test_positive_weights_are_negatives_per_positive_up_to_ten() -> None:
    targets = np.zeros((100, 4), bool)
    targets[:50, 0] = targets[:20, 1] = targets[:1, 2] = True
    weights = balanced_positive_weights(targets)
    assert weights.dtype == torch.float32
    assert weights.tolist() == [1.0, 4.0, 10.0, 1.0]


@pytest.mark.parametrize(
    ("name", "task", "code"),
    [
        ("asymetric", "multi-label", "unknown_name"),
        ("asymmetric", "single-label", "option_not_applicable"),
        ("binary-cross-entropy", "single-label", "option_not_applicable"),
        ("cross-entropy", "multi-label", "option_not_applicable"),
    ],
)
def test_a_loss_that_does_not_suit_is_refused(name: str, task: str, code: ErrorCode) -> None:
    with raises(UsageError, code=code, parameter="loss"):
        build_loss(name, task)
