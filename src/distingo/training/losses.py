"""Losses on logits, for one label per picture and for several: each a mean over pictures, so that runs compare.

A loss for several labels is a mean over pictures *and* labels, as scikit-learn's and Keras's binary cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distingo.errors import UsageError
from distingo.records import Task

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits and targets, float (n, classes) each, to a single number."""

LossName = Literal["auto", "cross-entropy", "binary-cross-entropy", "asymmetric", "focal"]
PositiveWeights = Literal["none", "balanced"]

LARGEST_POSITIVE_WEIGHT = 10.0
"""A label in one of 500 pictures would weigh 499 otherwise: its few pictures would drown all others."""

_NAMES: dict[Task, tuple[LossName, ...]] = {
    "single-label": ("cross-entropy", "focal"),
    "multi-label": ("binary-cross-entropy", "asymmetric", "focal"),
}


def build_loss(
    name: LossName,
    task: Task,
    *,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
    positive_weights: Tensor | None = None,
) -> Loss:
    """The loss of a recipe.

    Args:
        name: ``auto`` is ``cross-entropy`` for one label and ``binary-cross-entropy`` for several.
        task: One label per picture, or several.
        label_smoothing: Share of the target spread evenly: over all classes, or over yes and no of each label.
        class_weights: Float (classes,), for one label (`balanced_class_weights`); None weighs all alike.
        positive_weights: Float (labels,), for several labels (`balanced_positive_weights`); None weighs all alike.

    Returns:
        From logits and targets to the loss. Targets are shares in 0 .. 1: for one label they sum to 1 per picture.

    Raises:
        UsageError: The loss is unknown or not for this task.
    """
    if name not in get_args(LossName):
        raise UsageError(
            f"loss {name!r}; choose {', '.join(get_args(LossName))}", code="unknown_name", parameter="loss"
        )
    chosen = _NAMES[task][0] if name == "auto" else name
    if chosen not in _NAMES[task]:
        words = "one label" if task == "single-label" else "several labels"
        raise UsageError(
            f"loss {name} does not suit {words} per picture; choose {', '.join(_NAMES[task])}",
            code="option_not_applicable",
            parameter="loss",
        )
    if task == "single-label":
        loss = focal_cross_entropy if chosen == "focal" else cross_entropy
        return partial(loss, class_weights=class_weights, label_smoothing=label_smoothing)
    binary = {"binary-cross-entropy": binary_cross_entropy, "asymmetric": asymmetric, "focal": focal}[chosen]
    return partial(binary, positive_weights=positive_weights, label_smoothing=label_smoothing)


def cross_entropy(
    logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of exclusive classes with soft targets; weights count per class, the mean is over pictures.

    Args:
        logits: Float (n, classes).
        targets: Float (n, classes), each row summing to 1.
        class_weights: Float (classes,), or None.
        label_smoothing: Share of the target spread evenly over all classes (Szegedy et al., 2016).
    """
    return F.cross_entropy(logits, targets, class_weights, label_smoothing=label_smoothing)


def focal_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 2.0,
) -> Tensor:
    """Cross-entropy in which each class counts (1 - p)^gamma: pictures that are nearly right count little.

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, for exclusive classes.

    Args:
        logits: Float (n, classes).
        targets: Float (n, classes), each row summing to 1.
        class_weights: Float (classes,), or None.
        label_smoothing: As in `cross_entropy`.
        gamma: 0 is cross-entropy.
    """
    log_probabilities = F.log_softmax(logits, dim=1)
    smooth = targets * (1 - label_smoothing) + label_smoothing / logits.shape[1]
    focus = (-torch.expm1(log_probabilities)).clamp(min=torch.finfo(logits.dtype).tiny) ** gamma
    losses = -smooth * focus * log_probabilities
    return (losses if class_weights is None else losses * class_weights).sum(dim=1).mean()


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, *, positive_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of yes and no for each label, the mean over pictures and labels.

    Args:
        logits: Float (n, labels).
        targets: Float (n, labels) in 0 .. 1.
        positive_weights: Float (labels,): how much a yes counts; None counts it once.
        label_smoothing: Takes targets t to t (1 - s) + s / 2.
    """
    return _binary_mean(-F.logsigmoid(logits), -F.logsigmoid(-logits), targets, positive_weights, label_smoothing)


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    positive_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
) -> Tensor:
    """Asymmetric loss: easy negatives count little, and those below the margin not at all.

    Source: Ridnik et al., Asymmetric Loss for Multi-Label Classification, 2021: L+ = (1 - p)^gamma_positive log p,
    L- = p_m^gamma_negative log(1 - p_m) with p_m = max(p - margin, 0), and the paper's settings. The paper sums over
    labels; here it is their mean.

    Args:
        logits: Float (n, labels).
        targets: Float (n, labels) in 0 .. 1.
        positive_weights: As in `binary_cross_entropy`.
        label_smoothing: As in `binary_cross_entropy`.
        gamma_positive: 0 or more.
        gamma_negative: 0, or 1 and more: between them the slope at the margin has no end.
        margin: From 0 to below 1.
    """
    yes = -_sigmoid_power(-logits, gamma_positive) * F.logsigmoid(logits)
    if margin == 0:
        no = -_sigmoid_power(logits, gamma_negative) * F.logsigmoid(-logits)
    else:
        shifted = (torch.sigmoid(logits) - margin).clamp(min=0)
        no = -(shifted**gamma_negative) * torch.log1p(-shifted)
    return _binary_mean(yes, no, targets, positive_weights, label_smoothing)


def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    positive_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> Tensor:
    """Focal loss of yes and no for each label: answers that are nearly right count little.

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, with the paper's settings.

    Args:
        logits: Float (n, labels).
        targets: Float (n, labels) in 0 .. 1.
        positive_weights: As in `binary_cross_entropy`.
        label_smoothing: As in `binary_cross_entropy`.
        gamma: 0 or more; 0 is a weighted binary cross-entropy.
        alpha: What a yes counts; a no counts 1 - alpha.
    """
    yes = -alpha * _sigmoid_power(-logits, gamma) * F.logsigmoid(logits)
    no = -(1 - alpha) * _sigmoid_power(logits, gamma) * F.logsigmoid(-logits)
    return _binary_mean(yes, no, targets, positive_weights, label_smoothing)


def balanced_class_weights(targets: np.ndarray, classes: int) -> Tensor:
    """Weights n / (classes n_c): the inverse of each class's frequency, 1 on average over the pictures.

    Args:
        targets: int64 (n,), positions of the classes.
        classes: How many there are; one without a picture weighs as if it had one.

    Returns:
        float32 (classes,).
    """
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    return torch.from_numpy(len(targets) / (classes * counts)).float()


def balanced_positive_weights(targets: np.ndarray) -> Tensor:
    """Weights (n - n_j) / n_j: negatives per positive of each label, at most 10, so that yes and no count alike.

    Args:
        targets: Bool or 0/1 (n, labels).

    Returns:
        float32 (labels,); 1 for a label without positives.
    """
    positives = np.asarray(targets, dtype=np.float64).sum(axis=0)
    weights = (len(targets) - positives) / positives.clip(min=1)
    capped = np.where(positives > 0, weights.clip(max=LARGEST_POSITIVE_WEIGHT), 1.0)
    return torch.from_numpy(capped).float()


def _sigmoid_power(logits: Tensor, power: float) -> Tensor:
    """sigmoid(logits)^power with a slope that stays a number at any logit."""
    return torch.exp(power * F.logsigmoid(logits))


def _binary_mean(
    yes: Tensor, no: Tensor, targets: Tensor, positive_weights: Tensor | None, label_smoothing: float
) -> Tensor:
    smooth = targets * (1 - label_smoothing) + label_smoothing / 2
    weighted = yes if positive_weights is None else yes * positive_weights
    return (smooth * weighted + (1 - smooth) * no).mean()
