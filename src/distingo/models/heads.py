"""Heads: from a backbone's features to logits, and the network that both make together.

Heads are solved on the features of a frozen backbone; fine-tuning trains a linear one with the backbone.
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
        UsageError: With the nearest names.
    """
    if name not in HEADS:
        raise UsageError(
            f"{option('head')} {name}: no head is called so; {suggest_names(name, list(HEADS))}",
            code="unknown_name",
            parameter="head",
        )


def build_head(kind: str, features: int, classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """Build a head whose weights are filled in later, by a solver or from a file.

    Args:
        kind: One of `HEADS`.
        features: Numbers in an embedding.
        classes: How many logits come out.
        settings: As the solver left them; only ``knn`` needs any: ``task``, ``bank`` (its number of rows),
            ``neighbors`` and ``temperature``.

    Returns:
        A module from float (n, features) to float32 logits (n, classes).

    Raises:
        UsageError: There is no such head.
        KeyError: A setting is missing.
        ValueError: A setting makes no sense.
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
    """Embeddings (n, features) at unit length, less a center (features,), at unit length again: for cosines."""
    return F.normalize(F.normalize(embeddings, dim=1) - center, dim=1)


class LinearHead(nn.Module):
    """One dense layer: logistic regression, or a linear SVM whose margins were calibrated.

    The features' standardisation is folded into the weights. Logits go through a softmax, with several
    labels through a sigmoid each. Computes in float32, also where autocast would not.

    Args:
        features: Numbers in an embedding.
        classes: How many logits come out.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (n, classes) of float embeddings (n, features)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: Tensor = self.linear(embeddings.float())
            return logits


class PrototypeHead(nn.Module):
    """Cosine similarity to each class's mean embedding, times a scale (Snell et al., Prototypical networks, 2017).

    With several labels a label's prototype is the mean direction of the images that have it less that of
    those that lack it, and the scaled similarity plus an offset is the log odds.

    Buffers: ``center`` (features,), ``prototypes`` (classes, features), ``scale`` () (one over the temperature),
    ``offset`` (classes,).

    Args:
        features: Numbers in an embedding.
        classes: How many logits come out.
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
        """Logits (n, classes) of float embeddings (n, features)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            directions = center_and_normalize(embeddings.float(), self.center)
            return self.scale * (directions @ self.prototypes.T) + self.offset


class NeighborHead(nn.Module):
    """The k training images of highest cosine similarity vote, each with weight exp(similarity / temperature).

    The weights are as in Wu et al., Unsupervised feature learning via non-parametric instance discrimination,
    2018. Logits are the logarithms of the classes' shares of the votes, with several labels the log odds of
    each label's share; either is smoothed by a k-th of all votes that goes to the train split's own shares.

    Buffers: ``center`` (features,), ``bank`` (bank, features) of unit length, ``targets`` int64 (bank,),
    or uint8 (bank, classes) with several labels, ``prior`` (classes,) and ``offset`` (classes,).

    Args:
        features: Numbers in an embedding.
        classes: How many logits come out.
        bank: How many images can vote.
        neighbors: k, how many of them do.
        temperature: Above 0; the lower, the more the nearest count.
        several: Whether an image has several labels.

    Raises:
        ValueError: More neighbors than images, none, or a temperature that is not positive.
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
        """Logits (n, classes) of float embeddings (n, features)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            directions = center_and_normalize(embeddings.float(), self.center)
            similarities, nearest = find_neighbors(directions, self.bank, self.neighbors)
            return self.vote(similarities, nearest)

    def vote(self, similarities: Tensor, nearest: Tensor) -> Tensor:
        """Logits (n, classes) from the neighbors' similarities, float (n, k), and rows in the bank, int64 (n, k)."""
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
    """The rows of a bank that are most similar, the most similar one first; in blocks, so that memory is bounded.

    Args:
        directions: Float32 (n, features) of unit length.
        bank: Float32 (m, features) of unit length.
        neighbors: k, from 1 to m.

    Returns:
        Cosine similarities float32 (n, k) and rows int64 (n, k).
    """
    # a tracer would take the number of blocks for a constant, and batches of exports are small
    whole, block = torch.compiler.is_exporting(), max(1, _SIMILARITIES_AT_ONCE // len(bank))
    parts = [directions] if whole else torch.split(directions, block)
    matches = [torch.topk(part @ bank.T, neighbors, dim=1) for part in parts]
    if not matches:
        empty = directions.new_zeros(0, neighbors)
        return empty, empty.long()
    return torch.cat([values for values, _ in matches]), torch.cat([indices for _, indices in matches])


class PretrainedClassifier(nn.Module):
    """A backbone's pooled features, and a head from them to logits.

    Args:
        backbone: From float (n, 3, height, width), normalized, to features (n, features).
        head: From features to logits (n, classes); see `distingo.models.heads`.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of normalized float images (n, 3, height, width)."""
        # the head is solved in float32 to convergence: rounding its input to 16 bits would undo that
        features = self.backbone(images).float()
        logits: Tensor = self.head(features)
        return logits


def last_layer(network: nn.Module) -> nn.Module:
    """What turns features into logits: a pretrained model's head, of other networks the last dense layer.

    Args:
        network: Behind its normalization, as `distingo.models.saved.assemble_network` gives it.

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
