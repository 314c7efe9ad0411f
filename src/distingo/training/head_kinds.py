"""The kinds of heads: which settings each tries on held-out images, and how it is fitted with the chosen ones."""

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
from distingo.training.linear_models import REGULARISATIONS, Floats32, Loss, PrincipalAxes, Solution, solve_path


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be fitted, whatever the images.

    Attributes:
        classes: How many logits are wanted.
        task: Single-label or multi-label.
        balanced: Whether classes weigh the same however frequent they are.
        iterations: Limit of a linear solver, for each regularization.
        axes: Of more embeddings that those of each side are among; None has a linear solver find a side's own.
    """

    classes: int
    task: Task
    balanced: bool
    iterations: int
    axes: PrincipalAxes | None = None


SplitName = tuple[Floats32, npt.NDArray[Any]]
"""Embeddings float32 (n, features) and targets: int64 (n,), or float32 0/1 (n, labels)."""


def balancing_weights(targets: npt.NDArray[Any], classes: int) -> Floats32:
    """scikit-learn's ``balanced``: each class, with several labels each label's yes and no, weighs the same.

    Args:
        targets: int64 (n,), or 0/1 (n, labels).
        classes: How many classes or labels there are.

    Returns:
        Float32 of the targets' shape.
    """
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=classes)
        by_class: Floats32 = (len(targets) / (classes * np.maximum(counts, 1))).astype(np.float32)
        return np.take(by_class, targets)
    having = np.maximum((targets > 0).sum(axis=0), 1)
    lacking = np.maximum((targets == 0).sum(axis=0), 1)
    weights: Floats32 = np.where(targets > 0, len(targets) / (2 * having), len(targets) / (2 * lacking))
    return weights.astype(np.float32)


NEIGHBORS = (1, 3, 5, 10, 20, 50)

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
    directions = center_and_normalize(features, head.center)
    if targets.ndim == 1:
        having = F.one_hot(targets, classes).float()
        head.prototypes.copy_(F.normalize(_means(having, directions), dim=1))
    else:
        having = (targets > 0).float()
        apart = _means(having, directions) - _means(1 - having, directions)
        either = having.any(dim=0) & (having < 1).any(dim=0)
        head.prototypes.copy_(F.normalize(apart, dim=1) * either[:, None])
    return head


def fit_neighbors(
    features: Tensor, targets: Tensor, classes: int, *, neighbours: int, temperature: float, offset: Tensor
) -> NeighborHead:
    """Keep the train split as the bank.

    Args:
        features: Float32 (n, features).
        targets: int64 (n,), or 0/1 (n, classes) with several labels.
        classes: How many classes there are.
        neighbours: k, from 1 to n.
        temperature: Above 0.
        offset: Float (classes,), added to the logits: class weights.
    """
    several = targets.ndim > 1
    head = NeighborHead(
        features.shape[1], classes, bank=len(features), neighbours=neighbours, temperature=temperature, several=several
    )
    head.center.copy_(_center(features))
    head.bank.copy_(center_and_normalize(features, head.center))
    head.targets.copy_(targets > 0 if several else targets)
    counts = head.targets.sum(dim=0) if several else torch.bincount(targets, minlength=classes)
    head.prior.copy_((counts + 0.5) / (len(targets) + (1 if several else classes / 2)))
    head.offset.copy_(offset)
    return head


def neighbor_settings(bank: int) -> list[tuple[int, float]]:
    """Numbers of neighbors and temperatures to try on a bank of that many images."""
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
    """Logits (n, classes) of held-out images for one setting after another; neighbors are looked up once."""
    most = max(k for k, _ in settings)
    widest = fit_neighbors(features, targets, classes, neighbours=most, temperature=1.0, offset=offset)
    similarities, nearest = find_neighbors(center_and_normalize(held_out, widest.center), widest.bank, most)
    for neighbours, temperature in settings:
        widest.neighbours, widest.temperature = neighbours, temperature
        yield widest.vote(similarities[:, :neighbours], nearest[:, :neighbours]).numpy()


def _center(features: Tensor) -> Tensor:
    """The mean direction; with a single image none, or nothing would be left of it."""
    directions = F.normalize(features, dim=1)
    return directions.mean(dim=0) if len(directions) > 1 else torch.zeros(features.shape[1])


def _means(having: Tensor, directions: Tensor) -> Tensor:
    """Mean rows (classes, features) of directions (n, features) by 0/1 membership (n, classes)."""
    return (having.T @ directions) / having.sum(dim=0).clamp(min=1)[:, None]


Settings = dict[str, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting, tried.

    Attributes:
        settings: What was tried, by name.
        margins: Logits, or margins yet to be calibrated, of the held-out images; float32 (n, classes).
        solution: Of a linear head, else None.
    """

    settings: Settings
    margins: Floats32
    solution: Solution | None = None


@dataclass(frozen=True, slots=True)
class HeadKind:
    """One kind of head.

    Attributes:
        default: Settings where nothing can be held out.
        slope: Of a calibration where nothing can be held out; None where logits need no calibration.
        candidates: Problem, train split and held-out embeddings to one candidate after another.
        fit: Problem, train split and settings to the head, uncalibrated, and whether it converged.
        ordered: Whether candidates come from strong to weak regularization, so that the rest can be left out.
    """

    default: Settings
    slope: float | None
    candidates: Callable[[Problem, SplitName, Floats32], Iterator[Candidate]]
    fit: Callable[[Problem, SplitName, Settings], tuple[nn.Module, bool]]
    ordered: bool = False


def linear_head(solution: Solution) -> LinearHead:
    """The module that computes what a solution decides."""
    classes, features = solution.weight.shape
    head = LinearHead(features, classes)
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(solution.weight))
        head.linear.bias.copy_(torch.from_numpy(solution.intercept))
    return head


def calibrate_head(head: nn.Module, calibration: LogitCalibration) -> None:
    """Fold slope and offsets into a linear or prototype head, in place."""
    slope, offsets = calibration
    moved = torch.from_numpy(offsets)
    with torch.no_grad():
        if isinstance(head, LinearHead):
            head.linear.weight.mul_(slope)
            head.linear.bias.copy_(head.linear.bias.double() * slope + moved)
        else:
            head.get_buffer("scale").fill_(slope)
            head.get_buffer("offset").copy_(moved)


def _solve(
    problem: Problem, split: SplitName, regularisations: tuple[float, ...], *, hinge: bool
) -> Iterator[Solution]:
    features, targets = split
    weights = balancing_weights(targets, problem.classes) if problem.balanced else np.ones(targets.shape, np.float32)
    several = problem.task == "multi-label"
    loss: Loss = "squared-hinge" if hinge else "sigmoid"
    if several:
        expand = _complete_labels(targets, hinge=hinge)
        told_apart = (targets > 0).any(axis=0) & (targets == 0).any(axis=0)
        targets, weights = targets[:, told_apart], weights[:, told_apart]
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
        regularisations=regularisations,
        iterations=problem.iterations,
        axes=problem.axes,
    )
    return map(expand, path)


def _keep(solution: Solution) -> Solution:
    return solution


def _mirror(solution: Solution) -> Solution:
    """Two rows whose difference is the one that tells two classes apart."""
    weight, intercept = solution.weight / 2, solution.intercept / 2
    return replace(
        solution, weight=np.concatenate([-weight, weight]), intercept=np.concatenate([-intercept, intercept])
    )


def _complete_labels(targets: npt.NDArray[Any], *, hinge: bool) -> Callable[[Solution], Solution]:
    """Give labels that every image has, or none, a row of zeros: nothing distinguishes such images."""
    having = (targets > 0).sum(axis=0)
    told_apart = (having > 0) & (having < len(targets))
    share = (having + 0.5) / (len(targets) + 1)
    constant = np.where(having > 0, 1.0, -1.0) if hinge else np.log(share / (1 - share))

    def complete(solution: Solution) -> Solution:
        weight = np.zeros((len(having), solution.weight.shape[1]), np.float32)
        intercept = constant.astype(np.float32)
        weight[told_apart], intercept[told_apart] = solution.weight, solution.intercept
        return replace(solution, weight=weight, intercept=intercept)

    return complete


def _linear_kind(*, hinge: bool) -> HeadKind:
    def candidates(problem: Problem, split: SplitName, held_out: Floats32) -> Iterator[Candidate]:
        for solution in _solve(problem, split, REGULARISATIONS, hinge=hinge):
            yield Candidate({"regularisation": solution.regularisation}, solution.decide(held_out), solution)

    def fit(problem: Problem, split: SplitName, settings: Settings) -> tuple[nn.Module, bool]:
        solution = next(_solve(problem, split, (settings["regularisation"],), hinge=hinge))
        return linear_head(solution), solution.converged

    return HeadKind({"regularisation": 1.0}, 1.0 if hinge else None, candidates, fit, ordered=True)


def _prototype_candidates(problem: Problem, split: SplitName, held_out: Floats32) -> Iterator[Candidate]:
    head = fit_prototypes(torch.from_numpy(split[0]), torch.from_numpy(split[1]), problem.classes)
    with torch.inference_mode():  # never around a yield: who asked would go on in it
        margins = head(torch.from_numpy(held_out)).numpy()
    yield Candidate({}, margins)


def _fit_prototype(problem: Problem, split: SplitName, settings: Settings) -> tuple[nn.Module, bool]:  # noqa: ARG001
    return fit_prototypes(torch.from_numpy(split[0]), torch.from_numpy(split[1]), problem.classes), True


def _neighbor_candidates(problem: Problem, split: SplitName, held_out: Floats32) -> Iterator[Candidate]:
    features, targets = torch.from_numpy(split[0]), torch.from_numpy(split[1])
    settings = neighbor_settings(len(features))
    offset = _vote_offset(problem, split[1])
    logits = neighbor_logits(features, targets, problem.classes, torch.from_numpy(held_out), settings, offset)
    for (neighbours, temperature), margins in zip(settings, logits, strict=True):
        yield Candidate({"neighbours": neighbours, "temperature": temperature}, margins)


def _fit_neighbors(problem: Problem, split: SplitName, settings: Settings) -> tuple[nn.Module, bool]:
    head = fit_neighbors(
        torch.from_numpy(split[0]),
        torch.from_numpy(split[1]),
        problem.classes,
        neighbours=int(settings["neighbours"]),
        temperature=settings["temperature"],
        offset=_vote_offset(problem, split[1]),
    )
    return head, True


def _vote_offset(problem: Problem, targets: npt.NDArray[Any]) -> torch.Tensor:
    """What class weights add to the logarithm (several labels: the log odds) of a share of votes."""
    if not problem.balanced:
        return torch.zeros(problem.classes)
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=problem.classes)
        return torch.from_numpy(np.log(len(targets) / (problem.classes * np.maximum(counts, 1)))).float()
    having, lacking = (targets > 0).sum(axis=0), (targets == 0).sum(axis=0)
    return torch.from_numpy(np.log(np.maximum(lacking, 1) / np.maximum(having, 1))).float()


KINDS: dict[str, HeadKind] = {
    "linear": _linear_kind(hinge=False),
    "linear-svm": _linear_kind(hinge=True),
    "prototype": HeadKind({}, 10.0, _prototype_candidates, _fit_prototype),
    "knn": HeadKind({"neighbours": 1, "temperature": 0.1}, None, _neighbor_candidates, _fit_neighbors),
}
