"""Pretrained backbones in training: loading one, its features as products of the cache, and the head solved on them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from distingo.datasets.cache.products import Product, pixels_product
from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.rendering import require_views
from distingo.errors import ModelError
from distingo.machine.device import choose_device
from distingo.messages.notes import Note, note
from distingo.models.backbones import BackboneDescription, find_backbone, load_backbone
from distingo.models.catalog import find_model
from distingo.models.description import ModelDescription, require_readable_backbone
from distingo.models.saved import SavedModel, feature_extractor, join_backbone
from distingo.prediction.classifier import Embedder, gather
from distingo.records import ImageSpec, LabeledImage, Task
from distingo.training.defaults import DataFacts, as_size
from distingo.training.head_selection import FittedHead, fit_head
from distingo.training.recipe import Recipe

log = logging.getLogger("distingo")

SMALLEST_PHOTO = 64
"""Median shorter side, in pixels, from which a backbone pretrained on photos is chosen by default."""

DEFAULT_BACKBONE = "fast"


@dataclass(frozen=True, slots=True)
class LoadedBackbone:
    """A backbone with its weights.

    Attributes:
        description: With the weights' hash.
        module: From normalized float (n, 3, height, width) to features (n, features).
    """

    description: BackboneDescription
    module: nn.Module

    def embedder(self, device: torch.device, recipe: Recipe) -> Embedder:
        """Return the embedder that computes and caches the backbone's features."""
        network = feature_extractor(join_backbone(self.description, self.module, nn.Identity()))
        return Embedder(self.description, network, device=device, engine=recipe.engine, precision=recipe.precision)


def choose_model(facts: DataFacts) -> tuple[str, Note]:
    """Choose the default model for a data set.

    Returns:
        The model's name and the reason.
    """
    shorter_side = min(facts.height, facts.width)
    if shorter_side < SMALLEST_PHOTO:
        return "small-cnn", note("images-small", size=f"{facts.width}x{facts.height}")
    try:
        load_backbone(find_backbone(DEFAULT_BACKBONE))
    except ModelError as error:
        return "small-cnn", note("weights-missing", model=DEFAULT_BACKBONE, error=str(error))
    return DEFAULT_BACKBONE, note("images-large")


def load_requested_backbone(options: Mapping[str, Any]) -> LoadedBackbone | None:
    """Load the backbone that the options name, with its weights, or return None for another kind of model.

    Raises:
        ModelError: The model is unknown, its weights are not available, or it does not support the size.
    """
    if find_model(options["model"]).kind != "pretrained":
        return None
    size: tuple[int, int] | None = None
    if "image_size" in options:
        size = as_size(options["image_size"])
    elif "height" in options:
        size = (options["height"], options["width"])
    weights = options.get("weights", "auto")
    backbone_description = find_backbone(
        options["model"], weights=None if weights == "auto" else weights, image_size=size
    )
    require_readable_backbone(json.loads(json.dumps(asdict(backbone_description))))
    module, description = load_backbone(backbone_description)
    return LoadedBackbone(description, module)


def feature_products(backbone: LoadedBackbone, recipe: Recipe, cache: Cache, device: torch.device) -> list[Product]:
    """Return one product for each view of an image that a frozen backbone embeds, starting with the image itself."""
    embedder = backbone.embedder(device, recipe)
    return [embedder.product(cache, view) for view in require_views(recipe.views)]


def model_products(recipe: Recipe, backbone: LoadedBackbone | None, cache: Cache) -> list[Product]:
    """Return the products that a recipe's model needs of every image: backbone features, pixels, or both.

    Args:
        recipe: All choices.
        backbone: With its weights, where the model is a pretrained one.
        cache: Where the products are kept.

    Returns:
        The products; none for a classic model, which uses descriptors.
    """
    image_spec = image_spec_of(recipe, backbone)
    products: list[Product] = []
    if image_spec is None:
        return products
    if backbone is not None and recipe.mode != "scratch":
        products += feature_products(backbone, recipe, cache, choose_device(recipe.device))
    if recipe.mode != "frozen":
        products.append(pixels_product(cache, image_spec))
    return products


def balances_classes(recipe: Recipe) -> bool:
    """Return whether a recipe's head is fitted with balanced class weights."""
    return "balanced" in {recipe.class_weights, recipe.positive_weights}


LabeledImages = tuple[Sequence[LabeledImage], np.ndarray]
"""Images and their targets."""


def fit_recipe_head(
    recipe: Recipe,
    products: Sequence[Product],
    train: LabeledImages,
    validation: LabeledImages,
    *,
    classes: int,
    task: Task,
) -> FittedHead:
    """Fit a head on the views of the train split, with the settings that are best on the validation split.

    Args:
        recipe: Names head, class weights and seed.
        products: Filled products as returned by `feature_products`.
        train: Images and targets.
        validation: Images and targets.
        classes: How many classes or labels there are.
        task: Single-label or multi-label.
    """
    views = [embed(product, train[0]) for product in products]
    return fit_head(
        recipe.head,
        (np.concatenate(views), np.concatenate([train[1]] * len(views))),
        (embed(products[0], validation[0]), validation[1]),
        classes=classes,
        task=task,
        class_weights="balanced" if balances_classes(recipe) else "none",
        seed=recipe.seed,
    )


def embed(product: Product, images: Sequence[LabeledImage]) -> np.ndarray:
    """Read the features of images, float32 (n, features), from a filled product."""
    return gather(product, [image.row_key for image in images])


def solve_head(
    description: ModelDescription,
    backbone: LoadedBackbone,
    recipe: Recipe,
    products: Sequence[Product],
    splits: tuple[LabeledImages, LabeledImages],
) -> SavedModel:
    """Fit the head of a pretrained model.

    Args:
        description: Of the model to be.
        backbone: Its features are in the products.
        recipe: Names head, class weights and seed.
        products: Filled products as returned by `feature_products`.
        splits: Images and targets of the train and the validation split.

    Returns:
        The complete model of backbone and head; its provenance records how the head was chosen.
    """
    fitted = fit_recipe_head(recipe, products, *splits, classes=len(description.classes), task=description.task)
    for message in fitted.notes:
        log.info(message)
    provenance = {**description.provenance, "head": _in_words(fitted)}
    fitted_description = replace(
        description, backbone=backbone.description, settings=fitted.settings, head=recipe.head, provenance=provenance
    )
    network = join_backbone(backbone.description, backbone.module, fitted.head)
    return SavedModel(fitted_description, network=network.eval())


def _in_words(fitted: FittedHead) -> dict[str, object]:
    """Describe how the head was chosen, for the model's provenance and the report."""
    path = [{**trial.settings, "score": trial.score, "log_loss": trial.log_loss} for trial in fitted.path]
    chosen = None if fitted.chosen is None else fitted.chosen.settings
    return {
        "chosen": chosen,
        "path": path,
        "converged": fitted.converged,
        "notes": [asdict(each) for each in fitted.notes],
    }


def image_spec_of(recipe: Recipe, backbone: LoadedBackbone | None) -> ImageSpec | None:
    """Return the image specification of a network's input, or None for a classic model."""
    if backbone is not None:
        return backbone.description.image_spec
    if find_model(recipe.model).kind == "classic":
        return None
    return ImageSpec(height=recipe.height, width=recipe.width, channels=recipe.channels)
