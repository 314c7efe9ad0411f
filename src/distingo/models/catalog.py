"""The catalog of model names: which there are, and how each is built. Importing it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from distingo.errors import ModelError, suggest_names

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model that can be trained by name.

    Attributes:
        name: Name on the command line and in Python.
        kind: ``network`` (trained by epochs), ``pretrained`` (a backbone of timm's) or ``classic`` (solved at once).
        summary: One line about it.
        location: Module and class of a network.
        image_size: Height and width it was published with, or None where it takes the data's own.
    """

    name: str
    kind: Literal["network", "pretrained", "classic"]
    summary: str
    location: tuple[str, str] | None = None
    image_size: tuple[int, int] | None = None


_ENTRIES = (
    CatalogEntry(
        "small-cnn",
        "network",
        "our default from scratch: residual blocks, batch norm, global pooling; 8 to 224 pixels",
        ("distingo.models.small_networks", "SmallCNN"),
    ),
    CatalogEntry(
        "sports-cnn",
        "network",
        "reference: three 3x3 convolutions, dense 128; published for two sports at 224x224",
        ("distingo.models.small_networks", "SportsCNN"),
        (224, 224),
    ),
    CatalogEntry(
        "fashion-cnn",
        "network",
        "reference: three 3x3 convolutions to 128 filters, dense 128; published for 28x28 gray",
        ("distingo.models.small_networks", "FashionCNN"),
        (28, 28),
    ),
    CatalogEntry(
        "poster-cnn",
        "network",
        "reference: four 5x5 convolutions with dropout, dense 128 and 64; published for posters at 400x300",
        ("distingo.models.small_networks", "PosterCNN"),
        (400, 300),
    ),
    CatalogEntry(
        "descriptors",
        "classic",
        "color histogram and co-occurrence texture with a classic classifier chosen on validation",
    ),
    CatalogEntry("majority", "classic", "always the most frequent class: the floor every model must beat"),
    CatalogEntry("prevalence", "classic", "each label's frequency: the floor where a picture has several labels"),
)

CATALOG: dict[str, CatalogEntry] = {entry.name: entry for entry in _ENTRIES}


def find_model(name: str) -> CatalogEntry:
    """Look a model up by name; names that are not in the catalog are left to timm (`distingo.models.backbones`)."""
    if name in CATALOG:
        return CATALOG[name]
    return CatalogEntry(name, "pretrained", "a pretrained backbone")


def build_network(
    name: str, *, classes: int, height: int, width: int, channels: int, dropout: float | None = None
) -> nn.Module:
    """Build a network with fresh weights (from torch's global random state).

    Args:
        name: Of a network in the catalog.
        classes: How many outputs.
        height: Of its images, in pixels.
        width: Of its images, in pixels.
        channels: 3 or 1.
        dropout: Replaces the architecture's own where given.

    Returns:
        A module from float (n, channels, height, width) to logits (n, classes).

    Raises:
        ModelError: The name is not a network's, or the images are too small for it.
    """
    entry = find_model(name)
    if entry.kind == "pretrained":
        near = suggest_names(name, [entry.name for entry in _ENTRIES if entry.location])
        raise ModelError(
            f"none of our own networks is called {name!r}; {near} (`distingo models --pretrained` lists timm's)",
            code="unknown_name",
            parameter="model",
        )
    if entry.location is None:
        raise ModelError(f"{name} is not a network; it has no layers to build", code="not_a_network", parameter="model")
    module, class_name = entry.location
    network_class = getattr(import_module(module), class_name)
    options = {} if dropout is None else {"dropout": dropout}
    network: nn.Module = network_class(classes, height=height, width=width, channels=channels, **options)
    return network
