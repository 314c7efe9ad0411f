"""Kinds of heads: the settings that each one tries on held-out images, and how it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distingo.metrics.logits import LogitCalibration
from distingo.models.heads import LinearHead, NeighborHead, PrototypeHead, center_and_normalize, find_neighbors
from distingo.records import Task
from distingo.training.linear_models import REGULARIZATIONS, Floats32, Loss, PrincipalAxes, Solution, solve_path


@dataclass(frozen=True, slots=True)
class Problem:
    """A head-fitting problem without its images.

    Attributes:
        classes: Number of logits.
        task: Single-label or multi-label.
        balanced: Whether all classes have the same total weight, however frequent they are.
        iterations: Iteration limit of a linear solver, for each regularization.
        axes: Principal axes of a set of embeddings that includes those of each split; None computes them per split.
    """

    classes: int
    task: Task
    balanced: bool
    iterations: int
    axes: PrincipalAxes | None = None


SplitArrays = tuple[Floats32, npt.NDArray[Any]]
"""Embeddings, float32 (n, features), and targets: int64 (n,), or float32 0/1 (n, labels)."""


def balancing_weights(targets: npt.NDArray[Any], classes: int) -> Floats32:
    """Compute sample weights as scikit-learn's ``balanced``; for multi-label, per label's positives and negatives.

    Args:
        targets: int64 (n,), or 0/1 (n, labels).
        classes: Number of classes or labels.

    Returns:
        Weights, float32, of the targets' shape.
    """
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=classes)
        by_class: Floats32 = (len(targets) / (classes * np.maximum(counts, 1))).astype(np.float32)
        return np.take(by_class, targets)
    positives = np.maximum((targets > 0).sum(axis=0), 1)
    negatives = np.maximum((targets == 0).sum(axis=0), 1)
    weights: Floats32 = np.where(targets > 0, len(targets) / (2 * positives), len(targets) / (2 * negatives))
    return weights.astype(np.float32)


NEIGHBORS = (1, 3, 5, 10, 20, 50)

TEMPERATURES = (0.03, 0.1, 0.3)


def fit_prototypes(features: Tensor, targets: Tensor, classes: int) -> PrototypeHead:
    """Fit a head of each class's mean direction; its scale and offset still have to be calibrated.

    Args:
        features: Float32 (n, features).
        targets: int64 (n,), or 0/1 (n, classes) for multi-label.
        classes: Number of classes.
    """
    head = PrototypeHead(features.shape[1], classes)
    head.center.copy_(_center(features))
    directions = center_and_normalize(features, head.center)
    if targets.ndim == 1:
        membership = F.one_hot(targets, classes).float()
        head.prototypes.copy_(F.normalize(_means(membership, directions), dim=1))
    else:
        membership = (targets > 0).float()
        differences = _means(membership, directions) - _means(1 - membership, directions)
        is_learnable = membership.any(dim=0) & (membership < 1).any(dim=0)
        head.prototypes.copy_(F.normalize(differences, dim=1) * is_learnable[:, None])
    return head


def fit_neighbors(
    features: Tensor, targets: Tensor, classes: int, *, neighbors: int, temperature: float, offset: Tensor
) -> NeighborHead:
    """Build a nearest-neighbor head that stores the train split as its bank.

    Args:
        features: Float32 (n, features).
        targets: int64 (n,), or 0/1 (n, classes) for multi-label.
        classes: Number of classes.
        neighbors: Number of neighbors k, from 1 to n.
        temperature: Temperature of the similarities, above 0.
        offset: Float (classes,), added to the logits to apply class weights.
    """
    is_multi_label = targets.ndim > 1
    head = NeighborHead(
        features.shape[1],
        classes,
        bank=len(features),
        neighbors=neighbors,
        temperature=temperature,
        several=is_multi_label,
    )
    head.center.copy_(_center(features))
    head.bank.copy_(center_and_normalize(features, head.center))
    head.targets.copy_(targets > 0 if is_multi_label else targets)
    counts = head.targets.sum(dim=0) if is_multi_label else torch.bincount(targets, minlength=classes)
    head.prior.copy_((counts + 0.5) / (len(targets) + (1 if is_multi_label else classes / 2)))
    head.offset.copy_(offset)
    return head


def neighbor_settings(bank: int) -> list[tuple[int, float]]:
    """Return the (number of neighbors, temperature) pairs to try on a bank of this many images."""
    return [(k, t) for k in NEIGHBORS if k <= bank for t in (TEMPERATURES if k > 1 else TEMPERATURES[:1])]


@torch.inference_mode()
def neighbor_logits(
    features: Tensor,
    targets: Tensor,
    classes: int,
    held_out: Tensor,
    settings: list[tuple[int, float]],
    offset: Tensor,
) -> Iterator[Floats32]:
    """Yield the logits (n, classes) of held-out images for each setting; neighbors are searched once."""
    largest = max(k for k, _ in settings)
    head = fit_neighbors(features, targets, classes, neighbors=largest, temperature=1.0, offset=offset)
    similarities, nearest = find_neighbors(center_and_normalize(held_out, head.center), head.bank, largest)
    for neighbors, temperature in settings:
        head.neighbors, head.temperature = neighbors, temperature
        yield head.vote(similarities[:, :neighbors], nearest[:, :neighbors]).numpy()


def _center(features: Tensor) -> Tensor:
    """Return the mean direction, or zeros for a single image, which centering would cancel out."""
    directions = F.normalize(features, dim=1)
    return directions.mean(dim=0) if len(directions) > 1 else torch.zeros(features.shape[1])


def _means(having: Tensor, directions: Tensor) -> Tensor:
    """Average the directions (n, features) per class by 0/1 membership (n, classes): (classes, features)."""
    return (having.T @ directions) / having.sum(dim=0).clamp(min=1)[:, None]


Settings = dict[str, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The result of one setting on held-out images.

    Attributes:
        settings: Names and values of the settings.
        margins: Logits or uncalibrated margins of the held-out images, float32 (n, classes).
        solution: Solution of a linear head, otherwise None.
    """

    settings: Settings
    margins: Floats32
    solution: Solution | None = None


@dataclass(frozen=True, slots=True)
class HeadKind:
    """One kind of head.

    Attributes:
        default: Settings to use if nothing can be held out.
        slope: Calibration slope to use if nothing can be held out; None if logits need no calibration.
        candidates: Function from problem, train split and held-out embeddings to an iterator of candidates.
        fit: Function from problem, train split and settings to the uncalibrated head and whether it converged.
        ordered: Whether candidates are ordered from strong to weak regularization, which allows early stopping.
    """

    default: Settings
    slope: float | None
    candidates: Callable[[Problem, SplitArrays, Floats32], Iterator[Candidate]]
    fit: Callable[[Problem, SplitArrays, Settings], tuple[nn.Module, bool]]
    ordered: bool = False


def linear_head(solution: Solution) -> LinearHead:
    """Convert a solution to a linear module that computes the same logits."""
    classes, features = solution.weight.shape
    head = LinearHead(features, classes)
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(solution.weight))
        head.linear.bias.copy_(torch.from_numpy(solution.intercept))
    return head


def calibrate_head(head: nn.Module, calibration: LogitCalibration) -> None:
    """Fold slope and offsets into a linear or prototype head, in place."""
    slope, offsets = calibration
    shifted_offsets = torch.from_numpy(offsets)
    with torch.no_grad():
        if isinstance(head, LinearHead):
            head.linear.weight.mul_(slope)
            head.linear.bias.copy_(head.linear.bias.double() * slope + shifted_offsets)
        else:
            head.get_buffer("scale").fill_(slope)
            head.get_buffer("offset").copy_(shifted_offsets)


def _solve(
    problem: Problem, split: SplitArrays, regularizations: tuple[float, ...], *, hinge: bool
) -> Iterator[Solution]:
    features, targets = split
    weights = balancing_weights(targets, problem.classes) if problem.balanced else np.ones(targets.shape, np.float32)
    is_multi_label = problem.task == "multi-label"
    loss: Loss = "squared-hinge" if hinge else "sigmoid"
    if is_multi_label:
        expand = _complete_labels(targets, hinge=hinge)
        is_learnable = (targets > 0).any(axis=0) & (targets == 0).any(axis=0)
        targets, weights = targets[:, is_learnable], weights[:, is_learnable]
    elif problem.classes == 2:
        expand, targets, weights = _mirror, targets[:, None], weights[:, None]
    else:
        expand = _keep
        if hinge:
            weights = np.repeat(weights[:, None], problem.classes, axis=1)
            targets = np.eye(problem.classes, dtype=np.float32)[targets]
        else:
            loss = "softmax"
    path = solve_path(
        features,
        targets,
        loss=loss,
        weights=weights,
        regularizations=regularizations,
        iterations=problem.iterations,
        axes=problem.axes,
    )
    return map(expand, path)


def _keep(solution: Solution) -> Solution:
    return solution


def _mirror(solution: Solution) -> Solution:
    """Split the single row of a two-class solution into two rows whose difference is that row."""
    weight, intercept = solution.weight / 2, solution.intercept / 2
    return replace(
        solution, weight=np.concatenate([-weight, weight]), intercept=np.concatenate([-intercept, intercept])
    )


def _complete_labels(targets: npt.NDArray[Any], *, hinge: bool) -> Callable[[Solution], Solution]:
    """Return a function that adds zero weights for labels that all images have, or none: they can't be learned."""
    positives = (targets > 0).sum(axis=0)
    is_learnable = (positives > 0) & (positives < len(targets))
    share = (positives + 0.5) / (len(targets) + 1)
    constant = np.where(positives > 0, 1.0, -1.0) if hinge else np.log(share / (1 - share))

    def complete(solution: Solution) -> Solution:
        weight = np.zeros((len(positives), solution.weight.shape[1]), np.float32)
        intercept = constant.astype(np.float32)
        weight[is_learnable], intercept[is_learnable] = solution.weight, solution.intercept
        return replace(solution, weight=weight, intercept=intercept)

    return complete


def _linear_kind(*, hinge: bool) -> HeadKind:
    def candidates(problem: Problem, split: SplitArrays, held_out: Floats32) -> Iterator[Candidate]:
        for solution in _solve(problem, split, REGULARIZATIONS, hinge=hinge):
            yield Candidate({"regularisation": solution.regularization}, solution.decide(held_out), solution)

    def fit(problem: Problem, split: SplitArrays, settings: Settings) -> tuple[nn.Module, bool]:
        solution = next(_solve(problem, split, (settings["regularisation"],), hinge=hinge))
        return linear_head(solution), solution.converged

    return HeadKind({"regularisation": 1.0}, 1.0 if hinge else None, candidates, fit, ordered=True)


def _prototype_candidates(problem: Problem, split: SplitArrays, held_out: Floats32) -> Iterator[Candidate]:
    head = fit_prototypes(torch.from_numpy(split[0]), torch.from_numpy(split[1]), problem.classes)
    with torch.inference_mode():  # not around the yield, or the caller would continue in inference mode
        margins = head(torch.from_numpy(held_out)).numpy()
    yield Candidate({}, margins)


def _fit_prototype(problem: Problem, split: SplitArrays, settings: Settings) -> tuple[nn.Module, bool]:  # noqa: ARG001
    return fit_prototypes(torch.from_numpy(split[0]), torch.from_numpy(split[1]), problem.classes), True


def _neighbor_candidates(problem: Problem, split: SplitArrays, held_out: Floats32) -> Iterator[Candidate]:
    features, targets = torch.from_numpy(split[0]), torch.from_numpy(split[1])
    settings = neighbor_settings(len(features))
    offset = _vote_offset(problem, split[1])
    logits = neighbor_logits(features, targets, problem.classes, torch.from_numpy(held_out), settings, offset)
    for (neighbors, temperature), margins in zip(settings, logits, strict=True):
        yield Candidate({"neighbors": neighbors, "temperature": temperature}, margins)


def _fit_neighbors(problem: Problem, split: SplitArrays, settings: Settings) -> tuple[nn.Module, bool]:
    head = fit_neighbors(
        torch.from_numpy(split[0]),
        torch.from_numpy(split[1]),
        problem.classes,
        neighbors=int(settings["neighbors"]),
        temperature=settings["temperature"],
        offset=_vote_offset(problem, split[1]),
    )
    return head, True


def _vote_offset(problem: Problem, targets: npt.NDArray[Any]) -> torch.Tensor:
    """Return what class weights add to the log of a vote share (for multi-label, to its log odds)."""
    if not problem.balanced:
        return torch.zeros(problem.classes)
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=problem.classes)
        return torch.from_numpy(np.log(len(targets) / (problem.classes * np.maximum(counts, 1)))).float()
    positives, negatives = (targets > 0).sum(axis=0), (targets == 0).sum(axis=0)
    return torch.from_numpy(np.log(np.maximum(negatives, 1) / np.maximum(positives, 1))).float()


KINDS: dict[str, HeadKind] = {
    "linear": _linear_kind(hinge=False),
    "linear-svm": _linear_kind(hinge=True),
    "prototype": HeadKind({}, 10.0, _prototype_candidates, _fit_prototype),
    "knn": HeadKind({"neighbors": 1, "temperature": 0.1}, None, _neighbor_candidates, _fit_neighbors),
}
