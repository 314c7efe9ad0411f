"""The model that a recipe describes, before it is trained."""

from __future__ import annotations

from distingo.models.catalogue import find_model
from distingo.models.saved import ModelDescription
from distingo.records import Dataset, Rendition, Split
from distingo.training.pretrained import LoadedBackbone
from distingo.training.recipe import Recipe
from distingo.training.run_config import describe_provenance


def rendition_of(recipe: Recipe, backbone: LoadedBackbone | None) -> Rendition | None:
    """The pictures that a network is to see; None for a classic model."""
    if backbone is not None:
        return backbone.description.rendition
    if find_model(recipe.model).kind == "classic":
        return None
    return Rendition(height=recipe.height, width=recipe.width, channels=recipe.channels)


def describe_model(dataset: Dataset, split: Split, recipe: Recipe, backbone: LoadedBackbone | None) -> ModelDescription:
    """What is known of a model before it is trained."""
    return ModelDescription(
        name=recipe.model,
        kind=find_model(recipe.model).kind,
        task=dataset.task,
        classes=dataset.classes,
        rendition=rendition_of(recipe, backbone),
        backbone=backbone.description if backbone else None,
        head=recipe.head if backbone else "",
        mode=recipe.mode,
        engine=recipe.engine,
        precision=recipe.precision,
        normalise=recipe.normalise,
        dropout=recipe.dropout,
        provenance=describe_provenance(dataset, split, recipe),
        value_ranges=dataset.value_ranges,
    )
