"""Heads, which compute logits from a backbone's features, and the network of a backbone and a head.

Heads are fitted on the features of a frozen backbone; fine-tuning trains a linear head with the backbone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distingo.errors import UsageError, option, suggest_names

HEADS = ("linear", "linear-svm", "prototype", "knn")
"""Names of the heads; ``linear`` is the default."""

_SIMILARITIES_AT_ONCE = 1 << 23
"""Similarities between images and neighbors in memory at a time: 32 MB."""


def require_head(name: str) -> None:
    """Raise an error if no head has this name.

    Raises:
        UsageError: The name is unknown; the message suggests the closest names.
    """
    if name not in HEADS:
        raise UsageError(
            f"{option('head')} {name}: no head is called so; {suggest_names(name, list(HEADS))}",
            code="unknown_name",
            parameter="head",
        )


def build_head(kind: str, features: int, classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Build a head whose weights are set later, by a solver or from a file.

    Args:
        kind: One of `HEADS`.
        features: Number of features of an embedding.
        classes: Number of logits.
        settings: Settings from the solver. Only ``knn`` needs some: ``task``, ``bank`` (the number of its rows),
            ``neighbors`` and ``temperature``.

    Returns:
        A module from float (n, features) to float32 logits (n, classes).

    Raises:
        UsageError: There is no such head.
        KeyError: A setting is missing.
        ValueError: A setting is out of range.
    """
    require_head(kind)
    if kind == "prototype":
        return PrototypeHead(features, classes)
    if kind == "knn":
        return NeighborHead(
            features,
            classes,
            bank=int(settings["bank"]),
            neighbors=int(settings["neighbors"]),
            temperature=float(settings["temperature"]),
            several=settings["task"] == "multi-label",
        )
    return LinearHead(features, classes)


def center_and_normalize(embeddings: Tensor, center: Tensor) -> Tensor:
    """Normalize embeddings (n, features) to unit length, subtract a center (features,), and normalize the result."""
    return F.normalize(F.normalize(embeddings, dim=1) - center, dim=1)


class LinearHead(nn.Module):
    """One dense layer: logistic regression, or a linear SVM whose margins were calibrated.

    The weights include the standardization of the features. The computation is in float32, even under autocast.

    Args:
        features: Number of features of an embedding.
        classes: Number of logits.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute logits (n, classes) of float embeddings (n, features)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: Tensor = self.linear(embeddings.float())
            return logits


class PrototypeHead(nn.Module):
    """Scaled cosine similarity to each class's mean embedding (Snell et al., Prototypical networks, 2017).

    Multi-label: a label's prototype is the mean direction of the images with the label minus that of the images
    without it, and the scaled similarity plus an offset is the log odds.

    Buffers: ``center`` (features,), ``prototypes`` (classes, features), ``scale`` () (one over the temperature),
    ``offset`` (classes,).

    Args:
        features: Number of features of an embedding.
        classes: Number of logits.
    """

    center: Tensor
    prototypes: Tensor
    scale: Tensor
    offset: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("prototypes", torch.zeros(classes, features))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("offset", torch.zeros(classes))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute logits (n, classes) of float embeddings (n, features)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            directions = center_and_normalize(embeddings.float(), self.center)
            return self.scale * (directions @ self.prototypes.T) + self.offset


class NeighborHead(nn.Module):
    """Vote of the k nearest training images by cosine similarity, with weights exp(similarity / temperature).

    The weights are as in Wu et al., Unsupervised feature learning via non-parametric instance discrimination,
    2018. Logits are the logarithms of the classes' vote shares, for multi-label the log odds of each label's
    share. The shares are smoothed: a k-th of all votes goes to the class frequencies of the train split.

    Buffers: ``center`` (features,), ``bank`` (bank, features) of unit length, ``targets`` int64 (bank,),
    or uint8 (bank, classes) for multi-label, ``prior`` (classes,) and ``offset`` (classes,).

    Args:
        features: Number of features of an embedding.
        classes: Number of logits.
        bank: Number of images in the bank.
        neighbors: Number k of voting images.
        temperature: Temperature above 0; lower values give nearer images more weight.
        several: Whether the task is multi-label.

    Raises:
        ValueError: The number of neighbors is not in 1 .. bank, or the temperature is not positive.
    """

    center: Tensor
    bank: Tensor
    targets: Tensor
    prior: Tensor
    offset: Tensor

    def __init__(
        self, features: int, classes: int, *, bank: int, neighbors: int, temperature: float, several: bool
    ) -> None:
        super().__init__()
        if not 1 <= neighbors <= bank or not temperature > 0:
            raise ValueError(f"{neighbors} neighbors of {bank} pictures at temperature {temperature}")
        self.neighbors, self.temperature, self.several = neighbors, temperature, several
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("bank", torch.zeros(bank, features))
        shape, kind = ((bank, classes), torch.uint8) if several else ((bank,), torch.int64)
        self.register_buffer("targets", torch.zeros(shape, dtype=kind))
        self.register_buffer("prior", torch.full((classes,), 1 / classes))
        self.register_buffer("offset", torch.zeros(classes))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute logits (n, classes) of float embeddings (n, features)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            directions = center_and_normalize(embeddings.float(), self.center)
            similarities, nearest = find_neighbors(directions, self.bank, self.neighbors)
            return self.vote(similarities, nearest)

    def vote(self, similarities: Tensor, nearest: Tensor) -> Tensor:
        """Compute logits (n, classes) from similarities, float (n, k), and row indices of neighbors, int64 (n, k)."""
        weights = torch.softmax(similarities / self.temperature, dim=1)
        if self.several:
            shares = torch.einsum("nk,nkc->nc", weights, self.targets[nearest].float())
        else:
            shares = weights.new_zeros(weights.shape[0], len(self.prior)).scatter_add_(
                1, self.targets[nearest], weights
            )
        smoothing = 1 / self.neighbors
        shares = (shares + smoothing * self.prior) / (1 + smoothing)
        logits = torch.logit(shares) if self.several else torch.log(shares)
        return logits + self.offset


def find_neighbors(directions: Tensor, bank: Tensor, neighbors: int) -> tuple[Tensor, Tensor]:
    """Find the most similar rows of a bank, the most similar first, in blocks that limit the memory use.

    Args:
        directions: Float32 (n, features) of unit length.
        bank: Float32 (m, features) of unit length.
        neighbors: Number of rows k, from 1 to m.

    Returns:
        Cosine similarities, float32 (n, k), and row indices, int64 (n, k).
    """
    # a tracer would record the number of blocks as a constant, and exports process small batches
    whole, block = torch.compiler.is_exporting(), max(1, _SIMILARITIES_AT_ONCE // len(bank))
    parts = [directions] if whole else torch.split(directions, block)
    matches = [torch.topk(part @ bank.T, neighbors, dim=1) for part in parts]
    if not matches:
        empty = directions.new_zeros(0, neighbors)
        return empty, empty.long()
    return torch.cat([values for values, _ in matches]), torch.cat([indices for _, indices in matches])


class PretrainedClassifier(nn.Module):
    """A backbone that computes pooled features, and a head that computes logits from them.

    Args:
        backbone: Module from normalized float (n, 3, height, width) to features (n, features).
        head: Module from features to logits (n, classes).
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits (n, classes) of normalized float images (n, 3, height, width)."""
        # the head is fitted in float32 to convergence, so its input must not be rounded to 16 bits
        features = self.backbone(images).float()
        logits: Tensor = self.head(features)
        return logits


def last_layer(network: nn.Module) -> nn.Module:
    """Return the layer that computes logits: the head of a pretrained model, otherwise the last dense layer.

    Args:
        network: Network with its normalization, as returned by `distingo.models.saved.assemble_network`.

    Raises:
        TypeError: There is no dense layer.
    """
    classifier = network.get_submodule("network")
    if isinstance(classifier, PretrainedClassifier):
        return classifier.head
    dense = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    if not dense:
        raise TypeError(f"{type(classifier).__name__} ends in no dense layer, so it has no features before one")
    return dense[-1]


@contextmanager
def record_features(network: nn.Module) -> Iterator[list[Tensor]]:
    """Context manager in which each forward pass appends its features, float (n, features), to the list."""
    features: list[Tensor] = []

    def record(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        del module
        features.append(arguments[0].detach())

    hook = last_layer(network).register_forward_pre_hook(record)
    try:
        yield features
    finally:
        hook.remove()
