"""What all trials of a search work on: pictures that are read once, without those of the test side.

Which stages a search has: heads on frozen features, training, or one after the other.

One recipe to what it is worth on validation; an interrupted trial goes on from its last epoch.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from distingo.datasets.gathering import Product, pixels_product, read_dataset, survey
from distingo.datasets.targets import encode_labels
from distingo.files import content_hash, read_json, remove_half_written, write_json
from distingo.machine.device import choose_device
from distingo.models.catalogue import find_model
from distingo.prediction.embedding import gather
from distingo.records import Rendition
from distingo.run_folder import RunFolder
from distingo.training.checkpoint import EpochRecord, Progress, find_checkpoint, load_progress
from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.heads import fit_head
from distingo.training.memory import find_batch_size, without_auto
from distingo.training.preparing import PreparedRun, TrainRequest
from distingo.training.pretrained import LoadedBackbone, feature_products
from distingo.training.recipe import OF_STEPS, Mode, Recipe
from distingo.training.run import train_network
from distingo.training.run_config import is_auto
from distingo.training.step import EpochScores, score_pass
from distingo.tuning.records import SearchFolder, Trial, Value, choose_best
from distingo.tuning.study import SPACES, SearchSpace, Study, default_values, narrow


@dataclass(frozen=True, slots=True)
class Material:
    """Pictures, targets and features of one search.

    Attributes:
        prepared: The default recipe's run; its test side is empty.
        request: Where pictures come from and are kept.
        facts: What defaults depend on.
        device: Where networks compute.
        left_alone: How many pictures the test side has.
    """

    prepared: PreparedRun
    request: TrainRequest
    facts: DataFacts
    device: torch.device
    left_alone: int

    def recipe(self, wishes: dict[str, Any]) -> Recipe:
        """A whole recipe; one of a frozen backbone without what is about steps."""
        if wishes.get("mode") == "frozen":
            wishes = {name: value for name, value in wishes.items() if name not in (*OF_STEPS, "loss")}
        backbone = self.prepared.backbone
        return choose_recipe(self.facts, wishes, backbone.description if backbone else None)[0]

    def run_of(self, recipe: Recipe, folder: RunFolder) -> PreparedRun:
        """The run of a trial, with what it needs of the pictures in the cache.

        Training changes a backbone's weights in place, so each trial has a copy.
        """
        backbone = self.prepared.backbone
        if backbone is not None and recipe.mode != "frozen":
            backbone = LoadedBackbone(backbone.description, copy.deepcopy(backbone.module))
        rendition = backbone.description.rendition if backbone else _own_rendition(recipe)
        products = [] if recipe.mode == "frozen" else [pixels_product(self.request.cache, rendition)]
        if backbone is not None and recipe.mode != "scratch":
            products += self._features(recipe)
        self._fill(products)
        description = replace(
            self.prepared.description,
            rendition=rendition,
            head=recipe.head if backbone else "",
            mode=recipe.mode,
            normalise=recipe.normalise,
            dropout=recipe.dropout,
        )
        return replace(self.prepared, folder=folder, recipe=recipe, description=description, backbone=backbone)

    def score_head(self, recipe: Recipe) -> EpochScores:
        """Solve a head on the training side's features and judge it on the validation side's."""
        run = self.prepared
        products = self._features(recipe)
        self._fill(products)
        classes, task = run.dataset.classes, run.dataset.task
        targets = encode_labels(run.split.train, classes, task)
        views = [gather(product, [picture.row_key for picture in run.split.train]) for product in products]
        held_out = gather(products[0], [picture.row_key for picture in run.split.validation])
        held_out_targets = encode_labels(run.split.validation, classes, task)
        balanced = "balanced" in {recipe.class_weights, recipe.positive_weights}
        fitted = fit_head(
            recipe.head,
            (np.concatenate(views), np.concatenate([targets] * len(views))),
            (held_out, held_out_targets),
            classes=len(classes),
            task=task,
            class_weights="balanced" if balanced else "none",
            seed=recipe.seed,
        )
        with torch.inference_mode():
            logits = fitted.head(torch.from_numpy(held_out)).float().numpy()
        return score_pass(logits, held_out_targets)

    def _features(self, recipe: Recipe) -> list[Product]:
        assert self.prepared.backbone is not None
        return feature_products(self.prepared.backbone, recipe, self.request.cache, self.device)

    def _fill(self, products: Sequence[Product]) -> None:
        """Compute what the cache lacks; the pictures are read again only where it lacks something."""
        split = self.prepared.split
        contents = [picture.row_key for picture in (*split.train, *split.validation)]
        missing = [product for product in products if product.store.missing(contents)]
        if not missing:
            return
        request = self.request
        read_dataset(
            request.data,
            cache=request.cache,
            products=missing,
            max_pixels=request.max_pixels,
            workers=request.workers,
            table=request.table,
            allow_missing=request.allow_missing,
            corrections=request.corrections,
            value_ranges=self.prepared.dataset.value_ranges,
        )


def gather_material(prepared: PreparedRun, request: TrainRequest) -> Material:
    """The material of a search: the prepared run without its test side, which no trial gets to see."""
    seen = survey(request.data, table=request.table, allow_missing=request.allow_missing)
    facts = DataFacts(pictures=seen.count, height=seen.height, width=seen.width, grey=seen.grey, task=seen.task)
    unseen = replace(prepared, split=replace(prepared.split, test=()))
    return Material(unseen, request, facts, choose_device(prepared.recipe.device), len(prepared.split.test))


def monitored(recipe: Recipe, scores: EpochScores | EpochRecord) -> float:
    """The score that decides, more being better."""
    if isinstance(scores, EpochScores):
        loss, accuracy, precision = scores.loss, scores.accuracy, scores.mean_average_precision
    else:
        loss, accuracy = scores.validation_loss, scores.validation_accuracy
        precision = scores.validation_mean_average_precision
    if recipe.monitor == "validation_loss":
        return -loss
    score = precision if accuracy is None else accuracy
    assert score is not None
    return score


def _own_rendition(recipe: Recipe) -> Rendition:
    return Rendition(height=recipe.height, width=recipe.width, channels=recipe.channels)


_PASSED_ON = ("head", "views", "class_weights", "positive_weights")
"""What fine-tuning takes over from the best head."""

_TUNABLE_HEADS = ("linear", "linear-svm")


@dataclass(slots=True)
class StagePlan:
    """One stage of a search.

    Attributes:
        space: What it searches.
        study: Its trials.
        default: The recipe that its first trial is.
        holds_default: Whether that is the default of the whole search.
        counts: Whether its recipes are of the mode that was asked for; else they only show where to begin.
    """

    space: SearchSpace
    study: Study
    default: Recipe
    holds_default: bool
    counts: bool
    _material: Material
    _wishes: dict[str, Any]
    _before: Sequence[StagePlan] = field(default_factory=tuple)

    @property
    def finished(self) -> tuple[Trial, ...]:
        """Its finished trials."""
        trials = self.study.trials(before=sum(len(plan.finished) for plan in self._before))
        return tuple(replace(trial, is_default=trial.is_default and self.holds_default) for trial in trials)

    @property
    def has_begun(self) -> bool:
        """Whether a trial of it was finished."""
        return self.study.has_begun

    @property
    def seconds(self) -> float:
        """What its trials took."""
        return self.study.seconds

    def recipe_of(self, values: dict[str, Value], *, is_default: bool) -> Recipe:
        """The whole recipe of a trial.

        Args:
            values: Of the searched fields.
            is_default: Whether it is the first trial, which is the default where the stage holds that.
        """
        if is_default and self.holds_default:
            return self.default
        passed_on = {name: value for name, value in self._passed_on().items() if name not in self._wishes}
        return self._material.recipe({**self._wishes, **passed_on, **values})

    def _passed_on(self) -> dict[str, Value]:
        """The best head's fields, settled when the first trial asks for them."""
        if not self._before:
            return {}
        known = self.study.recalled("passed_on")
        if known is None:
            tunable = [trial for trial in self._before[0].finished if _can_be_tuned(trial)]
            best = choose_best(tunable)
            values = {} if best is None else {name: best.values[name] for name in _PASSED_ON if name in best.values}
            known = self.study.remember("passed_on", values)
        return dict(known)


def _can_be_tuned(trial: Trial) -> bool:
    return trial.values.get("head", "linear") in _TUNABLE_HEADS


def plan_stages(material: Material, wishes: dict[str, Any], folder: SearchFolder) -> tuple[StagePlan, ...]:
    """The stages for a model, cheap ones first.

    Args:
        material: The pictures and the default recipe.
        wishes: What the person set; that stays as it is.
        folder: Where trials are kept.
    """
    model = material.prepared.recipe.model
    wishes = {**wishes, "model": model}
    pretrained = find_model(model).kind == "pretrained"
    modes = _modes(material.prepared.recipe, wishes) if pretrained else ("scratch",)
    plans: list[StagePlan] = []
    for mode in modes:
        own = {**wishes, "mode": mode} if pretrained else wishes
        recipe = material.recipe(without_auto(own))
        if is_auto(own):
            recipe = _with_batch_size(recipe, material, folder, given_lr="lr" in own)
            own = {**own, "batch_size": recipe.batch_size}
        space = _space(material, recipe, wishes, modes)
        study = Study(
            folder.storage,
            space,
            default_values(space, recipe),
            seed=recipe.seed,
            epochs=0 if mode == "frozen" else recipe.epochs,
        )
        holds_default = recipe.mode == material.prepared.recipe.mode
        counts = wishes.get("mode", mode) == mode
        plans.append(StagePlan(space, study, recipe, holds_default, counts, material, own, tuple(plans)))
    return tuple(plans)


def _with_batch_size(recipe: Recipe, material: Material, folder: SearchFolder, *, given_lr: bool) -> Recipe:
    """The recipe with the batch size that was found for its mode, now or when the search began."""
    known = read_json(folder.batch_sizes) if folder.batch_sizes.is_file() else {}
    if recipe.mode not in known:
        found = material.prepared.recipe
        if found.mode != recipe.mode:
            found = find_batch_size(
                recipe, material.prepared.dataset, material.prepared.backbone, given_lr=given_lr
            ).recipe
        known[recipe.mode] = {"batch_size": found.batch_size, "lr": found.lr}
        write_json(folder.batch_sizes, known)
    return replace(recipe, **known[recipe.mode])


def _modes(default: Recipe, wishes: dict[str, Any]) -> tuple[Mode, ...]:
    """Frozen, then fine-tuned; only what the person asked for where a mode was named or a head that can't be tuned."""
    if default.mode == "scratch" or wishes.get("mode") == "frozen":
        return (default.mode,)
    if wishes.get("head", "linear") not in _TUNABLE_HEADS:
        return ("frozen",)
    return ("frozen", "finetune")


def _space(material: Material, recipe: Recipe, wishes: dict[str, Any], modes: Collection[Mode]) -> SearchSpace:
    split, task = material.prepared.split, material.prepared.dataset.task
    for_finetune = wishes.get("mode") == "finetune" and "finetune" in modes
    return narrow(
        SPACES[recipe.mode], recipe, wished=wishes, task=task, train=len(split.train), for_finetune=for_finetune
    )


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
