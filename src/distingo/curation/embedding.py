"""Features that a check compares images by: those of a frozen backbone, or descriptors without weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.cache.products import Product
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import Survey
from distingo.errors import UsageError, option
from distingo.machine.process import prepare_process
from distingo.messages.notes import Note, note

_WITHOUT = "none"

_CLASSIC = "descriptors"


@dataclass(frozen=True, slots=True)
class Embedding:
    """The features that images are compared by.

    Attributes:
        product: Product that computes the features during decoding; None if embeddings are disabled.
        name: Name of the backbone, ``descriptors`` or ``none``.
        reason: Why it was chosen.
        deep: Whether the features are those of a backbone.
    """

    product: Product | None
    name: str
    reason: Note
    deep: bool = False

    @property
    def note(self) -> Note:
        """Note on the features for the user."""
        if self.product is None:
            return note("compared-by-pixels")
        return note("compared-by", name=self.name, said=self.reason)


def choose_embedding(option: str | None, weights: str | Path | None, data: Survey, cache: Cache) -> Embedding:
    """Choose the features that images are compared by.

    Args:
        option: A backbone as for `train`, ``descriptors``, or ``none``; None chooses as `train` does.
        weights: As for `train`; None is the published weights.
        data: Survey of the data set.
        cache: Cache for the features.

    Raises:
        ModelError: There is no such backbone, or its weights are not available.
        UsageError: The model has no features.
    """
    if option == _WITHOUT:
        return Embedding(None, _WITHOUT, note("requested"))
    if option == _CLASSIC:
        return _descriptors(cache, note("requested-several"))
    _load_torch()
    from distingo.training.defaults import DataFacts
    from distingo.training.pretrained import choose_model

    facts = DataFacts(images=data.count, height=data.height, width=data.width, gray=data.gray, task=data.task)
    name, reason = (option, note("requested")) if option is not None else choose_model(facts)
    if option is None and weights is None and name == "small-cnn":
        return _descriptors(cache, reason)
    return embed_by_backbone(option or "fast", weights, reason, cache)


def _descriptors(cache: Cache, reason: Note) -> Embedding:
    from distingo.prediction.classifier import descriptors_product

    return Embedding(descriptors_product(cache), _CLASSIC, reason)


def embed_by_backbone(name: str, weights: str | Path | None, reason: Note, cache: Cache) -> Embedding:
    """Embed images by a backbone's features.

    Args:
        name: Name of the backbone as for `train`.
        weights: As for `train`; None is the published weights.
        reason: Why it was chosen.
        cache: Cache for the features.

    Raises:
        ModelError: There is no such backbone, or its weights are not available.
        UsageError: The model has no features.
    """
    _load_torch()
    from distingo.machine.device import choose_device
    from distingo.training.pretrained import feature_products, load_requested_backbone
    from distingo.training.recipe import Recipe

    options = {"model": name, "weights": str(weights) if weights is not None else "auto"}
    backbone = load_requested_backbone(options)
    if backbone is None:
        raise UsageError(
            f"{option('model')} {name}: has no pretrained weights; choose a backbone, descriptors or none",
            code="option_not_applicable",
            parameter="model",
        )
    image_spec = backbone.description.image_spec
    recipe = Recipe(model=name, height=image_spec.height, width=image_spec.width)
    (product,) = feature_products(backbone, recipe, cache, choose_device("auto"))
    return Embedding(product, name, reason, deep=True)


def _load_torch() -> None:
    """Prepare the process for torch, so that decoding threads can still use every core."""
    prepare_process()
