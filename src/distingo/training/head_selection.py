"""Fitting a head on the embeddings of a frozen backbone, with settings that are chosen on held-out images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from distingo.errors import DataError, UsageError, option
from distingo.messages.notes import Note, note
from distingo.metrics.logits import LogitCalibration, assign_folds, best_trial, fit_calibration, score_logits
from distingo.models.heads import require_head
from distingo.records import Task
from distingo.training.head_solvers import (
    KINDS,
    Candidate,
    Problem,
    Settings,
    SplitArrays,
    balancing_weights,
    calibrate_head,
    linear_head,
)
from distingo.training.linear_models import ITERATIONS, PrincipalAxes, common_axes

PER_CLASS = 5
"""Validation images per class below which settings are chosen by cross-validation within the train split."""

_SURE_ENOUGH = 0.01
"""Log loss at which the average correct prediction has a probability of 99 %."""

_PATIENCE = 3
"""A path stops after this many values in a row that improve neither score nor log loss."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and its scores on held-out images.

    Attributes:
        settings: Names and values of the settings.
        score: Accuracy, or mean average precision for multi-label.
        log_loss: Log loss on the same images.
    """

    settings: Settings
    score: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A fitted head and how its settings were chosen.

    Attributes:
        kind: Its name in `distingo.models.heads.HEADS`.
        head: Module from float (n, features) to logits (n, classes), in evaluation mode.
        settings: Arguments of `distingo.models.heads.build_head` and the chosen values, JSON-serializable.
        chosen: The best trial; None if nothing could be held out.
        path: All trials, in order.
        converged: Whether the solver reached the optimum.
        notes: Notes for the user, such as how settings were chosen if the validation split was too small.
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
    """Fit a head on the train split, with the settings that are best on the validation split.

    `distingo.metrics.logits.best_trial` chooses the best settings. The head is fitted on the train split alone. If
    the validation split has fewer than `PER_CLASS` images per class, the settings are chosen by stratified
    cross-validation within the train split; if that has one image per class, the kind's defaults are used. A note
    reports either case. All labels share one regularization: choosing one per label on few held-out positives was worse
    on new images.

    Args:
        kind: One of `distingo.models.heads.HEADS`.
        train: Embeddings, float (n, features), and targets: class numbers (n,), or 0/1 (n, classes).
        validation: Embeddings and targets in the same form; may be empty.
        classes: Number of classes or labels.
        task: Single-label or multi-label.
        class_weights: ``balanced`` gives all classes (for multi-label, each label's positives and negatives) the same
            total weight. Single-label prototypes do so anyway.
        seed: Random seed for the folds.
        iterations: Iteration limit of the linear solvers, for each regularization.

    Returns:
        The fitted head and how its settings were chosen.

    Raises:
        UsageError: The kind or the class weights are unknown.
        DataError: Embeddings are not finite, or a class has no training image.
        ValueError: The arrays' shapes do not match, or targets are not valid classes.
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
        choice, reason = _choose_within(kind, problem, split, seed=seed)
        notes = (*notes, note("validation-too-small", count=len(held_out[0]), said=reason))
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
    """Compute the principal axes of all embeddings (n, features), to share between calls of `refit_head`.

    Finding the axes is the slowest part of a fit. Returns None if a head of this kind does not need them.
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
    """Fit a head on other images with settings that were chosen before.

    Args:
        kind: One of `distingo.models.heads.HEADS`.
        split: Embeddings, float (n, features), and targets: class numbers (n,), each class at least once, or 0/1
            (n, classes).
        settings: Settings of a `FittedHead` of this kind, including the calibration of its margins.
        classes: Number of classes or labels.
        balanced: Whether all classes have the same total weight.
        iterations: Iteration limit of the linear solvers.
        axes: Principal axes of a set of embeddings that includes these (`axes_of_all`).

    Returns:
        Module from float (n, features) to logits (n, classes), in evaluation mode.
    """
    problem = Problem(classes, settings["task"], balanced, iterations, axes)
    checked = checked_split(split, problem)
    chosen = {name: settings[name] for name in KINDS[kind].default}
    if "neighbors" in chosen:
        chosen["neighbors"] = min(chosen["neighbors"], len(checked[0]))
    head, _ = KINDS[kind].fit(problem, checked, chosen)
    if calibration := settings.get("calibration"):
        calibrate_head(head, (calibration["slope"], np.asarray(calibration["offsets"], np.float64)))
    return head.eval()


@dataclass(frozen=True, slots=True)
class _Choice:
    settings: Settings
    calibration: LogitCalibration | None
    trial: Trial | None = None
    candidate: Candidate | None = None
    path: tuple[Trial, ...] = ()


def _choose(kind: str, problem: Problem, rounds: list[tuple[SplitArrays, SplitArrays]]) -> _Choice:
    """Try all settings on every (train, held-out) pair, and score the held-out images of all pairs together."""
    targets = np.concatenate([held_out[1] for _, held_out in rounds])
    choices = list[_Choice]()
    trials = list[Trial]()
    for candidates in _in_step(kind, problem, rounds):
        margins = np.concatenate([candidate.margins for candidate in candidates])
        calibration = _calibration(kind, problem, margins, targets)
        logits = margins if calibration is None else calibration[0] * margins + calibration[1]
        trials.append(Trial(candidates[0].settings, *score_logits(logits, targets, problem.task)))
        choices.append(_Choice(candidates[0].settings, calibration, trials[-1], candidates[0]))
        if KINDS[kind].ordered and (_has_worsened(trials) or _is_perfect(trials[-1])):
            break
    best = choices[best_trial([(trial.score, trial.log_loss) for trial in trials], len(targets), problem.task)]
    return replace(best, path=tuple(trials))


def _calibration(
    kind: str, problem: Problem, margins: npt.NDArray[Any], targets: npt.NDArray[Any]
) -> LogitCalibration | None:
    if KINDS[kind].slope is None:
        return None
    return fit_calibration(margins, targets, balancing_weights(targets, problem.classes) if problem.balanced else None)


def _has_worsened(trials: list[Trial]) -> bool:
    """Return whether the last few trials improved neither the score nor the log loss."""
    earlier, recent = trials[:-_PATIENCE], trials[-_PATIENCE:]
    if not earlier:
        return False
    highest, lowest = max(trial.score for trial in earlier), min(trial.log_loss for trial in earlier)
    return all(trial.score <= highest and trial.log_loss >= lowest for trial in recent)


def _is_perfect(trial: Trial) -> bool:
    """Return whether weaker regularization, the slowest to fit, could only raise the confidence."""
    return trial.score == 1.0 and trial.log_loss <= _SURE_ENOUGH


def _in_step(
    kind: str, problem: Problem, rounds: list[tuple[SplitArrays, SplitArrays]]
) -> Iterator[tuple[Candidate, ...]]:
    # A small fold's bank may allow fewer neighbors, so use only settings that are possible in all folds.
    return zip(*(KINDS[kind].candidates(problem, split, held_out[0]) for split, held_out in rounds), strict=False)


def _choose_within(kind: str, problem: Problem, split: SplitArrays, *, seed: int) -> tuple[_Choice, Note]:
    """Choose settings by cross-validation within the train split, or take the defaults, and return a note on it."""
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


def _part(split: SplitArrays, chosen: npt.NDArray[np.bool_]) -> SplitArrays:
    return split[0][chosen], split[1][chosen]


def _head_of(kind: str, problem: Problem, split: SplitArrays, choice: _Choice) -> tuple[nn.Module, bool]:
    solution = choice.candidate.solution if choice.candidate is not None else None
    if solution is not None:
        return linear_head(solution), solution.converged
    return KINDS[kind].fit(problem, split, choice.settings)


def checked_split(split: tuple[npt.ArrayLike, npt.ArrayLike], problem: Problem) -> SplitArrays:
    """Validate embeddings and targets, and convert them to the solvers' types.

    Args:
        split: Embeddings (n, features) and targets: class numbers (n,), or 0/1 (n, labels).
        problem: Specifies the form of the targets.

    Raises:
        DataError: An embedding is not finite.
        ValueError: The arrays' shapes do not match, or a target is not a valid class.
    """
    embeddings = np.ascontiguousarray(split[0], dtype=np.float32)
    targets = np.asarray(split[1])
    is_multi_label = problem.task == "multi-label"
    expected_shape = (len(embeddings), problem.classes) if is_multi_label else (len(embeddings),)
    if embeddings.ndim != 2 or targets.shape != expected_shape:
        raise ValueError(
            f"embeddings {embeddings.shape} with targets {targets.shape}; give (n, features), {expected_shape}"
        )
    if not np.isfinite(embeddings).all():
        invalid = int((~np.isfinite(embeddings)).any(axis=1).sum())
        raise DataError(
            f"the embeddings of {invalid} of {len(embeddings)} images are not finite numbers; "
            f"take another backbone, or {option('precision', 'float32')}",
            code="not_finite",
        )
    if is_multi_label:
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
    """Raise an error if a class can't be learned; multi-label splits may have some such labels, which gives a note.

    Args:
        targets: Targets of the train split.
        problem: Specifies the form of the targets.

    Returns:
        Notes for the user.

    Raises:
        DataError: A class has no training image, or no label distinguishes images.
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
    positives = (targets > 0).sum(axis=0)
    constant = int(((positives == 0) | (positives == len(targets))).sum())
    if constant == problem.classes:
        raise DataError(
            "no label distinguishes the training images: each is on all of them or on none", code="too_few_classes"
        )
    return (note("labels-not-learned", count=constant, total=problem.classes),) if constant else ()
