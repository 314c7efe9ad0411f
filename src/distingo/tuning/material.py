"""What all trials of a search work on: pictures that are read once, without those of the test side."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from distingo.datasets.gathering import Product, pixels_product, read_dataset, survey
from distingo.datasets.targets import encode_labels
from distingo.machine.device import choose_device
from distingo.prediction.embedding import gather
from distingo.records import Rendition
from distingo.run_folder import RunFolder
from distingo.training.checkpoint import EpochRecord
from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.heads import fit_head
from distingo.training.preparing import PreparedRun, TrainRequest
from distingo.training.pretrained import LoadedBackbone, feature_products
from distingo.training.recipe import OF_STEPS, Recipe
from distingo.training.step import EpochScores, score_pass


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
        products = [] if recipe.mode == "frozen" else [pixels_product(self.request.reading.cache, rendition)]
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
        return feature_products(self.prepared.backbone, recipe, self.request.reading.cache, self.device)

    def _fill(self, products: Sequence[Product]) -> None:
        """Compute what the cache lacks; the pictures are read again only where it lacks something."""
        split = self.prepared.split
        contents = [picture.row_key for picture in (*split.train, *split.validation)]
        missing = [product for product in products if product.store.missing(contents)]
        if not missing:
            return
        request = self.request
        reading = replace(request.reading, value_range=self.prepared.dataset.value_ranges)
        read_dataset(request.data, reading, products=missing)


def gather_material(prepared: PreparedRun, request: TrainRequest) -> Material:
    """The material of a search: the prepared run without its test side, which no trial gets to see."""
    seen = survey(request.data, reading=request.reading)
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
