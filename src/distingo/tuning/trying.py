"""One recipe to what it is worth on validation; an interrupted trial goes on from its last epoch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from distingo.files import content_hash, remove_half_written
from distingo.run_folder import RunFolder
from distingo.training.checkpoint import EpochRecord, Progress, find_checkpoint, load_progress
from distingo.training.recipe import Recipe
from distingo.training.run import train_network
from distingo.tuning.material import Material, monitored


class GiveUpTrial(Exception):  # noqa: N818 - no error: it is worse than others at this epoch
    """A trial is not worth going on with."""


class StopTrial(Exception):  # noqa: N818 - no error: time is up
    """A trial is to be put off; it goes on from its last epoch later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a recipe is worth.

    Attributes:
        score: The best monitored validation score, more is better.
        loss: Validation cross-entropy of the same weights.
        curve: The score after each epoch; empty for a head.
    """

    score: float
    loss: float
    curve: tuple[float, ...] = ()


Tell = Callable[[int, float], None]
"""Told an epoch and its score; may raise `GiveUpTrial` or `StopTrial`."""


def try_head(material: Material, recipe: Recipe) -> Outcome:
    """Solve a head on features that are there already."""
    scores = material.score_head(recipe)
    return Outcome(monitored(recipe, scores), scores.loss)


def try_training(material: Material, recipe: Recipe, place: RunFolder, tell: Tell) -> Outcome:
    """Train by epochs, from the start or from the checkpoint of the same recipe.

    Args:
        material: The pictures.
        recipe: To be tried.
        place: As `place_of` names it; keeps ``history.csv`` when the trial is over.
        tell: Told every epoch, those of an earlier attempt first.

    Raises:
        GiveUpTrial: As `tell` decided; likewise `StopTrial`.
        DistingoError: The recipe can't be trained.
    """
    remove_half_written(place.path)
    run = material.run_of(recipe, place)
    checkpoint = find_checkpoint(place)
    if checkpoint is not None:
        for record in load_progress(checkpoint).history:
            tell(record.epoch, monitored(recipe, record))

    def on_epoch(record: EpochRecord) -> None:
        tell(record.epoch, monitored(recipe, record))

    request = replace(material.request, output=place.path, resume=checkpoint is not None, on_epoch=on_epoch)
    train_network(run, request, material.device)
    return _sum_up(recipe, load_progress(place.last_checkpoint))


def place_of(folder: RunFolder, recipe: Recipe) -> RunFolder:
    """Where a recipe's trial keeps its epochs: the same recipe finds its own again."""
    key = content_hash(json.dumps(recipe.as_dict(), sort_keys=True).encode())[:16]
    return RunFolder(folder.path / key)


def tidy(place: RunFolder) -> None:
    """Remove the weights of a trial that is over; its ``history.csv`` stays."""
    for folder in (place.last_checkpoint.parent, place.model):
        shutil.rmtree(folder, ignore_errors=True)


def _sum_up(recipe: Recipe, progress: Progress) -> Outcome:
    """The best epoch's score; where fine-tuning never became better than its start, the start's."""
    assert progress.best_score is not None
    curve = tuple(monitored(recipe, record) for record in progress.history)
    at = max(progress.best_epoch, 1)
    loss = next((record.validation_loss for record in progress.history if record.epoch == at), 0.0)
    return Outcome(progress.best_score, loss, curve)
