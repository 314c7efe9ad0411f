"""Heads by cosine similarity: fitted on a training side, with the margins of held-out pictures for each setting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from distingo.models.heads import NeighbourHead, PrototypeHead, center_and_normalise, find_neighbours

Floats32 = npt.NDArray[np.float32]

NEIGHBOURS = (1, 3, 5, 10, 20, 50)
TEMPERATURES = (0.03, 0.1, 0.3)


def fit_prototypes(features: Tensor, targets: Tensor, classes: int) -> PrototypeHead:
    """Each class's mean direction; scale and offset are yet to be calibrated.

    Args:
        features: Float32 (n, features).
        targets: int64 (n,), or 0/1 (n, classes) with several labels.
        classes: How many classes there are.
    """
    head = PrototypeHead(features.shape[1], classes)
    head.center.copy_(_center(features))
    directions = center_and_normalise(features, head.center)
    if targets.ndim == 1:
        having = F.one_hot(targets, classes).float()
        head.prototypes.copy_(F.normalize(_means(having, directions), dim=1))
    else:
        having = (targets > 0).float()
        apart = _means(having, directions) - _means(1 - having, directions)
        either = having.any(dim=0) & (having < 1).any(dim=0)
        head.prototypes.copy_(F.normalize(apart, dim=1) * either[:, None])
    return head


def fit_neighbours(
    features: Tensor, targets: Tensor, classes: int, *, neighbours: int, temperature: float, offset: Tensor
) -> NeighbourHead:
    """Keep the training side as the bank.

    Args:
        features: Float32 (n, features).
        targets: int64 (n,), or 0/1 (n, classes) with several labels.
        classes: How many classes there are.
        neighbours: k, from 1 to n.
        temperature: Above 0.
        offset: Float (classes,), added to the logits: class weights.
    """
    several = targets.ndim > 1
    head = NeighbourHead(
        features.shape[1], classes, bank=len(features), neighbours=neighbours, temperature=temperature, several=several
    )
    head.center.copy_(_center(features))
    head.bank.copy_(center_and_normalise(features, head.center))
    head.targets.copy_(targets > 0 if several else targets)
    counts = head.targets.sum(dim=0) if several else torch.bincount(targets, minlength=classes)
    head.prior.copy_((counts + 0.5) / (len(targets) + (1 if several else classes / 2)))
    head.offset.copy_(offset)
    return head


def neighbour_settings(bank: int) -> list[tuple[int, float]]:
    """Numbers of neighbours and temperatures to try on a bank of that many pictures."""
    return [(k, t) for k in NEIGHBOURS if k <= bank for t in (TEMPERATURES if k > 1 else TEMPERATURES[:1])]


@torch.inference_mode()
def neighbour_logits(
    features: Tensor,
    targets: Tensor,
    classes: int,
    held_out: Tensor,
    settings: list[tuple[int, float]],
    offset: Tensor,
) -> Iterator[Floats32]:
    """Logits (n, classes) of held-out pictures for one setting after another; neighbours are looked up once."""
    most = max(k for k, _ in settings)
    widest = fit_neighbours(features, targets, classes, neighbours=most, temperature=1.0, offset=offset)
    similarities, nearest = find_neighbours(center_and_normalise(held_out, widest.center), widest.bank, most)
    for neighbours, temperature in settings:
        widest.neighbours, widest.temperature = neighbours, temperature
        yield widest.vote(similarities[:, :neighbours], nearest[:, :neighbours]).numpy()


def _center(features: Tensor) -> Tensor:
    """The mean direction; with a single picture none, or nothing would be left of it."""
    directions = F.normalize(features, dim=1)
    return directions.mean(dim=0) if len(directions) > 1 else torch.zeros(features.shape[1])


def _means(having: Tensor, directions: Tensor) -> Tensor:
    """Mean rows (classes, features) of directions (n, features) by 0/1 membership (n, classes)."""
    return (having.T @ directions) / having.sum(dim=0).clamp(min=1)[:, None]
