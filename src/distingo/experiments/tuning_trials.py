"""The stages of a search, and the trial of one recipe on the train and validation splits.

Images are read once for all trials, and no trial uses the test split. An interrupted trial resumes from its last epoch.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from distingo.experiments.tuning_records import SearchFolder, Trial, Value, choose_best
from distingo.experiments.tuning_study import SPACES, SearchSpace, Study, default_values, narrow
from distingo.files import content_hash, read_json, remove_half_written, write_json
from distingo.machine.device import choose_device
from distingo.models.catalog import find_model
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord
from distingo.training.checkpoint import Progress, find_checkpoint, load_progress
from distingo.training.defaults import FINE_TUNED_HEADS, DataFacts, choose_recipe
from distingo.training.memory import find_batch_size, without_auto
from distingo.training.pretrained import LoadedBackbone, embed, fit_recipe_head, image_spec_of, model_products
from distingo.training.recipe import OF_STEPS, Mode, Recipe, is_auto
from distingo.training.request import PreparedRun, TrainRequest
from distingo.training.run import train_network
from distingo.training.step import EpochScores, monitored_score, score_pass


@dataclass(frozen=True, slots=True)
class SearchData:
    """Images, targets and features of one search.

    Attributes:
        prepared: The default recipe's run; its test split is empty.
        request: Training request with data and cache.
        facts: Facts about the images that defaults depend on.
        device: Device that networks run on.
        test_images: Number of images in the test split.
    """

    prepared: PreparedRun
    request: TrainRequest
    facts: DataFacts
    device: torch.device
    test_images: int

    def recipe(self, options: Mapping[str, Any]) -> Recipe:
        """Complete options to a recipe; for a frozen backbone, options of training steps are left out."""
        if options.get("mode") == "frozen":
            options = {name: value for name, value in options.items() if name not in (*OF_STEPS, "loss")}
        backbone = self.prepared.backbone
        return choose_recipe(self.facts, options, backbone.description if backbone else None)[0]

    def run_of(self, recipe: Recipe, folder: RunFolder) -> PreparedRun:
        """Return the run of a trial, with its image inputs in the cache.

        Training changes a backbone's weights in place, so each trial has a copy.
        """
        run, backbone = self.prepared, self.prepared.backbone
        if backbone is not None and recipe.mode != "frozen":
            backbone = LoadedBackbone(backbone.description, copy.deepcopy(backbone.module))
        run.fill(model_products(recipe, backbone, self.request.reading.cache), self.request)
        description = replace(
            run.description,
            image_spec=image_spec_of(recipe, backbone),
            head=recipe.head if backbone else "",
            mode=recipe.mode,
            normalize=recipe.normalize,
            dropout=recipe.dropout,
        )
        return replace(run, folder=folder, recipe=recipe, description=description, backbone=backbone)

    def score_head(self, recipe: Recipe) -> EpochScores:
        """Fit a head on the train split's features and score it on the validation split."""
        run, cache = self.prepared, self.request.reading.cache
        products = model_products(recipe, run.backbone, cache)
        run.fill(products, self.request)
        train, validation = run.split.train, run.split.validation
        splits = (train, run.encode(train)), (validation, run.encode(validation))
        classes, task = len(run.dataset.classes), run.dataset.task
        head = fit_recipe_head(recipe, products, *splits, classes=classes, task=task).head
        with torch.inference_mode():
            logits = head(torch.from_numpy(embed(products[0], validation))).float().numpy()
        return score_pass(logits, splits[1][1])


def prepare_search_data(prepared: PreparedRun, request: TrainRequest) -> SearchData:
    """Return the material of a search: the prepared run without its test split, which no trial uses."""
    unseen = replace(prepared, split=replace(prepared.split, test=()))
    return SearchData(
        unseen, request, request.survey(), choose_device(prepared.recipe.device), len(prepared.split.test)
    )


def monitored(recipe: Recipe, record: EpochRecord) -> float:
    """Return the monitored score of an epoch; higher is better."""
    assert record.validation_loss is not None
    scores = EpochScores(record.validation_loss, record.validation_accuracy, record.validation_mean_average_precision)
    return monitored_score(recipe, scores)


_FROM_BEST_HEAD = ("head", "views", "class_weights", "positive_weights")
"""Fields that fine-tuning takes over from the best head."""


@dataclass(slots=True)
class StagePlan:
    """One stage of a search.

    Attributes:
        space: What it searches.
        study: Its trials.
        default: The recipe that its first trial is.
        has_default: Whether that is the default of the whole search.
        counts: Whether its recipes are of the mode that was requested; else they only show where to begin.
    """

    space: SearchSpace
    study: Study
    default: Recipe
    has_default: bool
    counts: bool
    _search_data: SearchData
    _requested: Mapping[str, Any]
    _before: Sequence[StagePlan] = field(default_factory=tuple)

    @property
    def finished(self) -> tuple[Trial, ...]:
        """The finished trials of this stage."""
        trials = self.study.trials(before=sum(len(plan.finished) for plan in self._before))
        return tuple(replace(trial, is_default=trial.is_default and self.has_default) for trial in trials)

    @property
    def has_begun(self) -> bool:
        """Whether a trial of it was finished."""
        return self.study.has_begun

    @property
    def seconds(self) -> float:
        """Total duration of the trials."""
        return self.study.seconds

    def recipe_of(self, values: dict[str, Value], *, is_default: bool) -> Recipe:
        """The whole recipe of a trial.

        Args:
            values: Of the searched fields.
            is_default: Whether it is the first trial, which is the default where the stage holds that.
        """
        if is_default and self.has_default:
            return self.default
        head_fields = {name: value for name, value in self._head_fields().items() if name not in self._requested}
        return self._search_data.recipe({**self._requested, **head_fields, **values})

    def _head_fields(self) -> dict[str, Value]:
        """Return the best head's fields, which are determined at the first trial."""
        if not self._before:
            return {}
        fields = self.study.recalled("passed_on")
        if fields is None:
            tunable = [trial for trial in self._before[0].finished if _can_be_tuned(trial)]
            best = choose_best(tunable)
            values = (
                {} if best is None else {name: best.values[name] for name in _FROM_BEST_HEAD if name in best.values}
            )
            fields = self.study.remember("passed_on", values)
        return dict(fields)


def _can_be_tuned(trial: Trial) -> bool:
    return trial.values.get("head", "linear") in FINE_TUNED_HEADS


def plan_stages(search_data: SearchData, options: Mapping[str, Any], folder: SearchFolder) -> tuple[StagePlan, ...]:
    """Plan the stages for a model, cheap ones first.

    Args:
        search_data: The images and the default recipe.
        options: Options that the user set, which are not searched.
        folder: Where trials are kept.
    """
    model = search_data.prepared.recipe.model
    options = {**options, "model": model}
    pretrained = find_model(model).kind == "pretrained"
    modes = _modes(search_data.prepared.recipe, options) if pretrained else ("scratch",)
    plans: list[StagePlan] = []
    for mode in modes:
        own = {**options, "mode": mode} if pretrained else options
        recipe = search_data.recipe(without_auto(own))
        if is_auto(own):
            recipe = _with_batch_size(recipe, search_data, folder, keep_lr="lr" in own)
            own = {**own, "batch_size": recipe.batch_size}
        space = _space(search_data, recipe, options, modes)
        study = Study(
            folder.storage,
            space,
            default_values(space, recipe),
            seed=recipe.seed,
            epochs=0 if mode == "frozen" else recipe.epochs,
        )
        has_default = recipe.mode == search_data.prepared.recipe.mode
        counts = options.get("mode", mode) == mode
        plans.append(StagePlan(space, study, recipe, has_default, counts, search_data, own, tuple(plans)))
    return tuple(plans)


def _with_batch_size(recipe: Recipe, search_data: SearchData, folder: SearchFolder, *, keep_lr: bool) -> Recipe:
    """Return the recipe with the batch size for its mode, measured now or when the search began."""
    stored = read_json(folder.batch_sizes) if folder.batch_sizes.is_file() else {}
    if recipe.mode not in stored:
        sized = search_data.prepared.recipe
        if sized.mode != recipe.mode:
            sized = find_batch_size(
                recipe, search_data.prepared.dataset, search_data.prepared.backbone, keep_lr=keep_lr
            ).recipe
        stored[recipe.mode] = {"batch_size": sized.batch_size, "lr": sized.lr}
        write_json(folder.batch_sizes, stored)
    return replace(recipe, **stored[recipe.mode])


def _modes(default: Recipe, options: Mapping[str, Any]) -> tuple[Mode, ...]:
    """Frozen, then fine-tuned; only what the user requested where a mode was named or a head that can't be tuned."""
    if default.mode == "scratch" or options.get("mode") == "frozen":
        return (default.mode,)
    if options.get("head", "linear") not in FINE_TUNED_HEADS:
        return ("frozen",)
    return ("frozen", "finetune")


def _space(search_data: SearchData, recipe: Recipe, options: Mapping[str, Any], modes: Collection[Mode]) -> SearchSpace:
    split, task = search_data.prepared.split, search_data.prepared.dataset.task
    for_finetune = options.get("mode") == "finetune" and "finetune" in modes
    return narrow(
        SPACES[recipe.mode], recipe, requested=options, task=task, train=len(split.train), for_finetune=for_finetune
    )


class GiveUpTrial(Exception):  # noqa: N818 - no error: it is worse than others at this epoch
    """The trial should be pruned."""


class StopTrial(Exception):  # noqa: N818 - no error: time is up
    """The trial should be put off; it later resumes from its last epoch."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scores of a recipe.

    Attributes:
        score: The best monitored validation score, higher is better.
        loss: Validation cross-entropy of the same weights.
        curve: The score after each epoch; empty for a head.
    """

    score: float
    loss: float
    curve: tuple[float, ...] = ()


EpochListener = Callable[[int, float], None]
"""Called with an epoch and its score; may raise `GiveUpTrial` or `StopTrial`."""


def try_head(search_data: SearchData, recipe: Recipe) -> Outcome:
    """Fit and score a head on features that are already in the cache."""
    scores = search_data.score_head(recipe)
    return Outcome(monitored_score(recipe, scores), scores.loss)


def try_training(search_data: SearchData, recipe: Recipe, folder: RunFolder, on_score: EpochListener) -> Outcome:
    """Train by epochs, from the start or from the checkpoint of the same recipe.

    Args:
        search_data: The images.
        recipe: Recipe to try.
        folder: As `folder_of` names it; keeps ``history.csv`` when the trial is over.
        on_score: Called with every epoch, those of an earlier attempt first.

    Raises:
        GiveUpTrial: As `on_score` decided; likewise `StopTrial`.
        DistingoError: The recipe can't be trained.
    """
    remove_half_written(folder.path)
    run = search_data.run_of(recipe, folder)
    checkpoint = find_checkpoint(folder)
    if checkpoint is not None:
        for record in load_progress(checkpoint).history:
            on_score(record.epoch, monitored(recipe, record))

    def on_epoch(record: EpochRecord) -> None:
        on_score(record.epoch, monitored(recipe, record))

    request = replace(search_data.request, output=folder.path, resume=checkpoint is not None, on_epoch=on_epoch)
    train_network(run, request, search_data.device)
    return _sum_up(recipe, load_progress(folder.last_checkpoint))


def folder_of(folder: RunFolder, recipe: Recipe) -> RunFolder:
    """Return the folder for a recipe's epochs; the same recipe always has the same folder."""
    key = content_hash(json.dumps(recipe.as_dict(), sort_keys=True).encode())[:16]
    return RunFolder(folder.path / key)


def tidy(trial_folder: RunFolder) -> None:
    """Remove the weights of a trial that is over; its ``history.csv`` stays."""
    for folder in (trial_folder.last_checkpoint.parent, trial_folder.model):
        shutil.rmtree(folder, ignore_errors=True)


def _sum_up(recipe: Recipe, progress: Progress) -> Outcome:
    """Return the best epoch's scores, or those of the start if fine-tuning never improved on it."""
    assert progress.best_score is not None
    curve = tuple(monitored(recipe, record) for record in progress.history)
    at = max(progress.best_epoch, 1)
    loss = next((record.validation_loss for record in progress.history if record.epoch == at), 0.0)
    return Outcome(progress.best_score, loss or 0.0, curve)
