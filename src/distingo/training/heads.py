"""Solve a head on the embeddings of a frozen backbone; its settings are chosen on held-out images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from distingo.errors import DataError, UsageError, option
from distingo.messages.notes import Note, note
from distingo.metrics.logits import LogitCalibration, fit_calibration
from distingo.models.heads import require_head
from distingo.records import Task
from distingo.training.head_kinds import (
    KINDS,
    Candidate,
    Problem,
    Settings,
    SplitName,
    balancing_weights,
    calibrate_head,
    linear_head,
)
from distingo.training.held_out import assign_folds, best_trial, score_logits
from distingo.training.linear_models import ITERATIONS, PrincipalAxes, common_axes

PER_CLASS = 5
"""With fewer validation images than this times the classes, the choice is made inside the train split."""

_SURE_ENOUGH = 0.01
"""Log loss at which the average right answer has a probability of 99 %."""

_PATIENCE = 3
"""A path ends after so many values in a row that improve neither score nor log loss."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and what it was worth on images not fitted on.

    Attributes:
        settings: What was tried, by name.
        score: Accuracy, or mean average precision with several labels.
        log_loss: Of the same images.
    """

    settings: Settings
    score: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A solved head and how it was chosen.

    Attributes:
        kind: Its name in `distingo.models.heads.HEADS`.
        head: From float (n, features) to logits (n, classes); in evaluation mode.
        settings: What `distingo.models.heads.build_head` needs, and the chosen values; JSON-ready.
        chosen: The trial that won; None where nothing could be held out.
        path: All trials, in the order in which they were made.
        converged: Whether the solver reached the optimum.
        notes: For the user: how the choice was made where validation could not make it.
    """

    kind: str
    head: nn.Module
    settings: Mapping[str, Any]
    chosen: Trial | None
    path: tuple[Trial, ...]
    converged: bool
    notes: tuple[Note, ...]


def fit_head(
    kind: str,
    train: tuple[npt.ArrayLike, npt.ArrayLike],
    validation: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    classes: int,
    task: Task,
    class_weights: Literal["none", "balanced"] = "none",
    seed: int = 0,
    iterations: int = ITERATIONS,
) -> FittedHead:
    """Solve a head on the train split, with the settings that are best on validation.

    Best is what `distingo.training.held_out.best_trial` says. The head is fitted on the train split alone. Where
    validation has fewer than `PER_CLASS` images a class, the settings are chosen by stratified cross-validation
    within the train split; where that has one image a class, they are the kind's defaults. A note says so.
    All labels share one regularization: chosen for each on its few held-out positives it was worse on unseen images.

    Args:
        kind: One of `distingo.models.heads.HEADS`.
        train: Embeddings float (n, features), and targets: class numbers (n,), or 0/1 (n, classes).
        validation: The same; may be empty.
        classes: How many classes or labels there are.
        task: Single-label or multi-label.
        class_weights: ``balanced`` makes classes (each label's yes and no) weigh the same. Prototypes of single
            labels do anyway.
        seed: Of the folds.
        iterations: Limit of the linear solvers for each regularization.

    Returns:
        The head and how it was chosen.

    Raises:
        UsageError: No such kind, or no such class weights.
        DataError: Embeddings that are not finite, or a class without a training image.
        ValueError: Arrays that don't fit each other, or targets that are no classes.
    """
    require_head(kind)
    if class_weights not in {"none", "balanced"}:
        raise UsageError(
            f"class weights {class_weights!r}; choose none or balanced", code="unknown_name", parameter="class_weights"
        )
    problem = Problem(classes, task, class_weights == "balanced", iterations)
    split, held_out = checked_split(train, problem), checked_split(validation, problem)
    if split[0].shape[1] != held_out[0].shape[1] and len(held_out[0]):
        raise ValueError(f"{split[0].shape[1]} features to train on, {held_out[0].shape[1]} to validate on")
    notes = require_every_class(split[1], problem)
    if len(held_out[0]) >= PER_CLASS * classes:
        choice = _choose(kind, problem, [(split, held_out)])
        head, converged = _head_of(kind, problem, split, choice)
    else:
        choice, why = _choose_within(kind, problem, split, seed=seed)
        notes = (*notes, note("validation-too-small", count=len(held_out[0]), said=why))
        head, converged = KINDS[kind].fit(problem, split, choice.settings)
    if choice.calibration is not None:
        calibrate_head(head, choice.calibration)
    if not converged:
        notes = (*notes, note("not-converged", count=iterations))
    settings: dict[str, object] = {"task": task, **choice.settings}
    if choice.calibration is not None:
        slope, offsets = choice.calibration
        settings["calibration"] = {"slope": slope, "offsets": offsets.tolist()}
    if kind == "knn":
        settings["bank"] = len(split[0])
    return FittedHead(kind, head.eval(), settings, choice.trial, choice.path, converged, notes)


def axes_of_all(kind: str, embeddings: npt.NDArray[np.float32], *, classes: int, task: Task) -> PrincipalAxes | None:
    """What `refit_head` on part after part of embeddings (n, features) has in common, and takes longest to find.

    None where a head of this kind needs none.
    """
    if not KINDS[kind].ordered:
        return None
    return common_axes(embeddings, 1 if task != "multi-label" and classes == 2 else classes)


def refit_head(
    kind: str,
    split: tuple[npt.ArrayLike, npt.ArrayLike],
    settings: Mapping[str, Any],
    *,
    classes: int,
    balanced: bool = False,
    iterations: int = ITERATIONS,
    axes: PrincipalAxes | None = None,
) -> nn.Module:
    """Solve a head once more on other images, with settings that were chosen before.

    Args:
        kind: One of `distingo.models.heads.HEADS`.
        split: Embeddings float (n, features), and targets: class numbers (n,), each class at least once; or 0/1 (n,
            classes).
        settings: Of a `FittedHead` of this kind; the calibration of its margins is among them.
        classes: How many classes or labels there are.
        balanced: Whether classes weigh the same.
        iterations: Limit of the linear solvers.
        axes: Of more embeddings, with these among them (`axes_of_all`).

    Returns:
        From float (n, features) to logits (n, classes); in evaluation mode.
    """
    problem = Problem(classes, settings["task"], balanced, iterations, axes)
    checked = checked_split(split, problem)
    chosen = {name: settings[name] for name in KINDS[kind].default}
    if "neighbours" in chosen:
        chosen["neighbours"] = min(chosen["neighbours"], len(checked[0]))
    head, _ = KINDS[kind].fit(problem, checked, chosen)
    if found := settings.get("calibration"):
        calibrate_head(head, (found["slope"], np.asarray(found["offsets"], np.float64)))
    return head.eval()


@dataclass(frozen=True, slots=True)
class _Choice:
    settings: Settings
    calibration: LogitCalibration | None
    trial: Trial | None = None
    candidate: Candidate | None = None
    path: tuple[Trial, ...] = ()


def _choose(kind: str, problem: Problem, rounds: list[tuple[SplitName, SplitName]]) -> _Choice:
    """Try all settings on every (fitted on, held out) pair; the held-out images of all pairs are scored together."""
    targets = np.concatenate([held_out[1] for _, held_out in rounds])
    tried = list[_Choice]()
    trials = list[Trial]()
    for candidates in _in_step(kind, problem, rounds):
        margins = np.concatenate([candidate.margins for candidate in candidates])
        calibration = _calibration(kind, problem, margins, targets)
        logits = margins if calibration is None else calibration[0] * margins + calibration[1]
        trials.append(Trial(candidates[0].settings, *score_logits(logits, targets, problem.task)))
        tried.append(_Choice(candidates[0].settings, calibration, trials[-1], candidates[0]))
        if KINDS[kind].ordered and (_has_worsened(trials) or _is_perfect(trials[-1])):
            break
    best = tried[best_trial([(trial.score, trial.log_loss) for trial in trials], len(targets), problem.task)]
    return replace(best, path=tuple(trials))


def _calibration(
    kind: str, problem: Problem, margins: npt.NDArray[Any], targets: npt.NDArray[Any]
) -> LogitCalibration | None:
    if KINDS[kind].slope is None:
        return None
    return fit_calibration(margins, targets, balancing_weights(targets, problem.classes) if problem.balanced else None)


def _has_worsened(trials: list[Trial]) -> bool:
    """Whether the last few trials were better than those before neither in score nor in log loss."""
    before, since = trials[:-_PATIENCE], trials[-_PATIENCE:]
    if not before:
        return False
    highest, lowest = max(trial.score for trial in before), min(trial.log_loss for trial in before)
    return all(trial.score <= highest and trial.log_loss >= lowest for trial in since)


def _is_perfect(trial: Trial) -> bool:
    """Whether nothing is left to gain: weaker regularization would only make right answers surer, and takes longest."""
    return trial.score == 1.0 and trial.log_loss <= _SURE_ENOUGH


def _in_step(kind: str, problem: Problem, rounds: list[tuple[SplitName, SplitName]]) -> Iterator[tuple[Candidate, ...]]:
    # A small fold's bank may allow fewer neighbors: only settings that all folds can try are tried.
    return zip(*(KINDS[kind].candidates(problem, split, held_out[0]) for split, held_out in rounds), strict=False)


def _choose_within(kind: str, problem: Problem, split: SplitName, *, seed: int) -> tuple[_Choice, Note]:
    """Choose by cross-validation within the train split, or take the defaults; and a note on it."""
    folds = assign_folds(split[1], seed=seed)
    count = int(folds.max()) + 1
    if count < 2:
        default = KINDS[kind]
        calibration = None if default.slope is None else (default.slope, _prior_offsets(split[1], problem))
        return _Choice(default.default, calibration), note("defaults-taken")
    rounds = [(_part(split, folds != fold), _part(split, folds == fold)) for fold in range(count)]
    return _choose(kind, problem, rounds), note("chosen-on-folds", folds=count, count=len(split[0]))


def _prior_offsets(targets: npt.NDArray[Any], problem: Problem) -> npt.NDArray[np.float64]:
    if problem.task == "single-label" or problem.balanced:
        return np.zeros(problem.classes)
    share = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
    return np.asarray(np.log(share / (1 - share)), np.float64)


def _part(split: SplitName, chosen: npt.NDArray[np.bool_]) -> SplitName:
    return split[0][chosen], split[1][chosen]


def _head_of(kind: str, problem: Problem, split: SplitName, choice: _Choice) -> tuple[nn.Module, bool]:
    solution = choice.candidate.solution if choice.candidate is not None else None
    if solution is not None:
        return linear_head(solution), solution.converged
    return KINDS[kind].fit(problem, split, choice.settings)


def checked_split(split: tuple[npt.ArrayLike, npt.ArrayLike], problem: Problem) -> SplitName:
    """Embeddings and targets as the solvers take them.

    Args:
        split: Embeddings (n, features) and targets: class numbers (n,), or 0/1 (n, labels).
        problem: Says which targets are wanted.

    Raises:
        DataError: An embedding is not finite.
        ValueError: The arrays don't fit each other, or a target is no class.
    """
    embeddings = np.ascontiguousarray(split[0], dtype=np.float32)
    targets = np.asarray(split[1])
    several = problem.task == "multi-label"
    wanted = (len(embeddings), problem.classes) if several else (len(embeddings),)
    if embeddings.ndim != 2 or targets.shape != wanted:
        raise ValueError(f"embeddings {embeddings.shape} with targets {targets.shape}; give (n, features), {wanted}")
    if not np.isfinite(embeddings).all():
        broken = int((~np.isfinite(embeddings)).any(axis=1).sum())
        raise DataError(
            f"the embeddings of {broken} of {len(embeddings)} images are not finite numbers; "
            f"take another backbone, or {option('precision', 'float32')}",
            code="not_finite",
        )
    if several:
        if not np.isin(targets, (0, 1)).all():
            raise ValueError("targets of several labels must be 0 or 1")
        return embeddings, targets.astype(np.float32)
    if targets.size and (not np.issubdtype(targets.dtype, np.integer) or targets.min() < 0):
        raise ValueError(f"targets of type {targets.dtype} from {targets.min()}; give class numbers")
    if targets.size and targets.max() >= problem.classes:
        raise ValueError(
            f"class number {targets.max()}; with {problem.classes} classes give 0 .. {problem.classes - 1}"
        )
    return embeddings, targets.astype(np.int64)


def require_every_class(targets: npt.NDArray[Any], problem: Problem) -> tuple[Note, ...]:
    """Refuse a train split that says nothing about a class; of several labels some may be silent, which is noted.

    Args:
        targets: Of the train split.
        problem: Says which targets they are.

    Returns:
        Notes for the user.

    Raises:
        DataError: A class without a training image, or no label that distinguishes images.
    """
    if problem.task == "single-label":
        counts = np.bincount(targets, minlength=problem.classes)
        empty = np.flatnonzero(counts == 0)
        if len(empty) or problem.classes < 2:
            raise DataError(
                f"{len(empty)} of {problem.classes} classes have no training picture (first: class number "
                f"{empty[0] if len(empty) else 0}); a head needs two classes and a picture of each",
                code="empty_class",
            )
        return ()
    if not len(targets):
        raise DataError("no training images; a head needs some to be solved on", code="too_few_images")
    having = (targets > 0).sum(axis=0)
    alike = int(((having == 0) | (having == len(targets))).sum())
    if alike == problem.classes:
        raise DataError(
            "no label distinguishes the training images: each is on all of them or on none", code="too_few_classes"
        )
    return (note("labels-not-learned", count=alike, total=problem.classes),) if alike else ()
