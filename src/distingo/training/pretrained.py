"""Pretrained backbones: the head is solved on features that each picture is asked for once."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.rendering import require_views
from distingo.datasets.gathering import Product
from distingo.errors import ModelError
from distingo.messages.notes import Note, note
from distingo.models.backbones import BackboneDescription, find_backbone, load_backbone
from distingo.models.catalogue import find_model
from distingo.models.saved import ModelDescription, SavedModel, feature_extractor, join_backbone
from distingo.models.saved_layout import require_readable_backbone
from distingo.prediction.embedding import Embedder, gather
from distingo.records import Picture
from distingo.training.defaults import DataFacts, as_size
from distingo.training.heads import FittedHead, fit_head
from distingo.training.recipe import Recipe

log = logging.getLogger("distingo")

SMALLEST_PHOTO = 64
"""Median shorter side, in pixels, from which a backbone that was trained on photos is worth a try."""

DEFAULT_BACKBONE = "fast"


@dataclass(frozen=True, slots=True)
class LoadedBackbone:
    """A backbone with its weights.

    Attributes:
        description: With the weights' hash.
        module: From normalised float (n, 3, height, width) to features (n, features).
    """

    description: BackboneDescription
    module: nn.Module

    def embedder(self, device: torch.device, recipe: Recipe) -> Embedder:
        """What makes and keeps its features."""
        network = feature_extractor(join_backbone(self.description, self.module, nn.Identity()))
        return Embedder(self.description, network, device=device, engine=recipe.engine, precision=recipe.precision)


def choose_model(facts: DataFacts) -> tuple[str, Note]:
    """The model for a person who named none.

    Returns:
        Its name, and the reason.
    """
    side = min(facts.height, facts.width)
    if side < SMALLEST_PHOTO:
        return "small-cnn", note("images-small", size=f"{facts.width}x{facts.height}")
    try:
        load_backbone(find_backbone(DEFAULT_BACKBONE))
    except ModelError as error:
        return "small-cnn", note("weights-missing", model=DEFAULT_BACKBONE, error=str(error))
    return DEFAULT_BACKBONE, note("images-large")


def load_wished_backbone(wishes: dict[str, Any]) -> LoadedBackbone | None:
    """The backbone that a recipe's wishes name, with its weights; None where they name a model of another kind.

    Raises:
        ModelError: There is no such model, its weights can't be had, or it refuses the size.
    """
    if find_model(wishes["model"]).kind != "pretrained":
        return None
    size: tuple[int, int] | None = None
    if "image_size" in wishes:
        size = as_size(wishes["image_size"])
    elif "height" in wishes:
        size = (wishes["height"], wishes["width"])
    weights = wishes.get("weights", "auto")
    described = find_backbone(wishes["model"], weights=None if weights == "auto" else weights, image_size=size)
    require_readable_backbone(json.loads(json.dumps(asdict(described))))
    module, description = load_backbone(described)
    return LoadedBackbone(description, module)


def feature_products(backbone: LoadedBackbone, recipe: Recipe, cache: Cache, device: torch.device) -> list[Product]:
    """One product for each view that a frozen backbone is shown, the picture itself first."""
    embedder = backbone.embedder(device, recipe)
    return [embedder.product(cache, view) for view in require_views(recipe.views)]


def balances_classes(recipe: Recipe) -> bool:
    """Whether a recipe's head is solved so that classes, or each label's yes and no, weigh the same."""
    return "balanced" in {recipe.class_weights, recipe.positive_weights}


def solve_head(
    description: ModelDescription,
    backbone: LoadedBackbone,
    recipe: Recipe,
    products: Sequence[Product],
    sides: tuple[tuple[Sequence[Picture], np.ndarray], tuple[Sequence[Picture], np.ndarray]],
) -> tuple[SavedModel, FittedHead]:
    """Fit the head on the training pictures' views, choose its settings on the validation pictures.

    Args:
        description: Of the model to be.
        backbone: Its features are in the products already, or are made there.
        recipe: Names head, class weights and seed.
        products: As `feature_products` gives them.
        sides: Pictures and targets of the training and the validation side.

    Returns:
        The whole model, backbone and head, and how the head was chosen.
    """
    (train, train_targets), (validation, validation_targets) = sides
    views = [gather(product, [picture.row_key for picture in train]) for product in products]
    targets = np.concatenate([train_targets] * len(views))
    held_out = gather(products[0], [picture.row_key for picture in validation])
    fitted = fit_head(
        recipe.head,
        (np.concatenate(views), targets),
        (held_out, validation_targets),
        classes=len(description.classes),
        task=description.task,
        class_weights="balanced" if balances_classes(recipe) else "none",
        seed=recipe.seed,
    )
    for each in fitted.notes:
        log.info(each)
    provenance = {**description.provenance, "head": _in_words(fitted)}
    described = replace(
        description, backbone=backbone.description, settings=fitted.settings, head=recipe.head, provenance=provenance
    )
    network = join_backbone(backbone.description, backbone.module, fitted.head)
    return SavedModel(described, network=network.eval()), fitted


def _in_words(fitted: FittedHead) -> dict[str, Any]:
    """How the head was chosen, for the model's provenance and the report."""
    path = [{**trial.settings, "score": trial.score, "log_loss": trial.log_loss} for trial in fitted.path]
    chosen = None if fitted.chosen is None else fitted.chosen.settings
    return {
        "chosen": chosen,
        "path": path,
        "converged": fitted.converged,
        "notes": [asdict(each) for each in fitted.notes],
    }
