"""Losses on logits for single-label and multi-label tasks.

Each loss is a mean over images, for multi-label over images and labels, as in scikit-learn and Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distingo.errors import UsageError
from distingo.records import Task
from distingo.training.recipe import LossName

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits and targets, float (n, classes) each, to a single number."""

LARGEST_POSITIVE_WEIGHT = 10.0
"""Upper limit of positive weights; without it, a label in one of 500 images would have a weight of 499."""

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
    """Build the loss function of a recipe.

    Args:
        name: Name of the loss; ``auto`` is ``cross-entropy`` for single-label and ``binary-cross-entropy`` for
            multi-label.
        task: Single-label or multi-label.
        label_smoothing: Fraction of the target that is spread evenly over all classes, or over yes and no of each
            label.
        class_weights: Float (classes,), for single-label (`balanced_class_weights`); None weights all equally.
        positive_weights: Float (labels,), for multi-label (`balanced_positive_weights`); None weights all equally.

    Returns:
        Function from logits and targets to the loss. Targets are between 0 and 1; for single-label they sum to 1 per
        image.

    Raises:
        UsageError: The loss is unknown or does not apply to the task.
    """
    if name not in get_args(LossName):
        raise UsageError(
            f"loss {name!r}; choose {', '.join(get_args(LossName))}", code="unknown_name", parameter="loss"
        )
    chosen = _NAMES[task][0] if name == "auto" else name
    if chosen not in _NAMES[task]:
        labels = "one label" if task == "single-label" else "several labels"
        raise UsageError(
            f"loss {name} does not suit {labels} per picture; choose {', '.join(_NAMES[task])}",
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
    """Compute the cross-entropy of exclusive classes with soft targets, weighted per class, averaged over images.

    Args:
        logits: Float (n, classes).
        targets: Float (n, classes), each row summing to 1.
        class_weights: Float (classes,), or None.
        label_smoothing: Fraction of the target that is spread evenly over all classes (Szegedy et al., 2016).
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
    """Compute cross-entropy with a factor of (1 - p)^gamma, which reduces the loss of easy images.

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
    """Compute the binary cross-entropy of each label, averaged over images and labels.

    Args:
        logits: Float (n, labels).
        targets: Float (n, labels) in 0 .. 1.
        positive_weights: Float (labels,), weights of positives; None is 1 for all.
        label_smoothing: The fraction s by which targets t become t (1 - s) + s / 2.
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
    """Compute the asymmetric loss, in which easy negatives count little, and those below the margin not at all.

    Source: Ridnik et al., Asymmetric Loss for Multi-Label Classification, 2021: L+ = (1 - p)^gamma_positive log p,
    L- = p_m^gamma_negative log(1 - p_m) with p_m = max(p - margin, 0), and the paper's settings. The paper sums over
    labels; here it is their mean.

    Args:
        logits: Float (n, labels).
        targets: Float (n, labels) in 0 .. 1.
        positive_weights: As in `binary_cross_entropy`.
        label_smoothing: As in `binary_cross_entropy`.
        gamma_positive: 0 or more.
        gamma_negative: 0, or at least 1; between 0 and 1, the gradient at the margin is unbounded.
        margin: From 0 to below 1.
    """
    positive_loss = -_sigmoid_power(-logits, gamma_positive) * F.logsigmoid(logits)
    if margin == 0:
        negative_loss = -_sigmoid_power(logits, gamma_negative) * F.logsigmoid(-logits)
    else:
        shifted = (torch.sigmoid(logits) - margin).clamp(min=0)
        negative_loss = -(shifted**gamma_negative) * torch.log1p(-shifted)
    return _binary_mean(positive_loss, negative_loss, targets, positive_weights, label_smoothing)


def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    positive_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> Tensor:
    """Compute the focal loss of each label, which reduces the loss of easy predictions.

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, with the paper's settings.

    Args:
        logits: Float (n, labels).
        targets: Float (n, labels) in 0 .. 1.
        positive_weights: As in `binary_cross_entropy`.
        label_smoothing: As in `binary_cross_entropy`.
        gamma: 0 or more; 0 is a weighted binary cross-entropy.
        alpha: Weight of positives; negatives have the weight 1 - alpha.
    """
    positive_loss = -alpha * _sigmoid_power(-logits, gamma) * F.logsigmoid(logits)
    negative_loss = -(1 - alpha) * _sigmoid_power(logits, gamma) * F.logsigmoid(-logits)
    return _binary_mean(positive_loss, negative_loss, targets, positive_weights, label_smoothing)


def balanced_class_weights(targets: np.ndarray, classes: int) -> Tensor:
    """Compute class weights n / (classes n_c), the inverse class frequencies, with a mean of 1 over the images.

    Args:
        targets: int64 (n,), class indices.
        classes: Number of classes; a class without images is counted as if it had one.

    Returns:
        float32 (classes,).
    """
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    return torch.from_numpy(len(targets) / (classes * counts)).float()


def balanced_positive_weights(targets: np.ndarray) -> Tensor:
    """Compute positive weights (n - n_j) / n_j, the negatives per positive of each label, at most 10.

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
    """Compute sigmoid(logits)^power with a finite gradient at any logit."""
    return torch.exp(power * F.logsigmoid(logits))


def _binary_mean(
    positive_loss: Tensor,
    negative_loss: Tensor,
    targets: Tensor,
    positive_weights: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    smooth = targets * (1 - label_smoothing) + label_smoothing / 2
    weighted = positive_loss if positive_weights is None else positive_loss * positive_weights
    return (smooth * weighted + (1 - smooth) * negative_loss).mean()
