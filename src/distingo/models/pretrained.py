"""A pretrained backbone with a head of our own on top.

The features that a network's last layer decides by.

What happens to pixel values at a network's front door; its numbers are saved with the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class PretrainedClassifier(nn.Module):
    """A backbone's pooled features, and a head from them to logits.

    Args:
        backbone: From float (n, 3, height, width), normalised, to features (n, features).
        head: From features to logits (n, classes); see `distingo.models.heads`.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of normalised float images (n, 3, height, width)."""
        # the head is solved in float32 to convergence: rounding its input to 16 bits would undo that
        features = self.backbone(images).float()
        logits: Tensor = self.head(features)
        return logits


def last_layer(network: nn.Module) -> nn.Module:
    """What turns features into logits: a pretrained model's head, of other networks the last dense layer.

    Args:
        network: Behind its normalisation, as `distingo.models.saved.assemble_network` gives it.

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
    """While open, every pass through the network adds its features, float (n, features), to the list."""
    seen: list[Tensor] = []

    def record(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        del module
        seen.append(arguments[0].detach())

    hook = last_layer(network).register_forward_pre_hook(record)
    try:
        yield seen
    finally:
        hook.remove()


class ChannelNormalisation(nn.Module):
    """Centre and scale each channel by fixed numbers.

    Input and output: float (n, channels, height, width), input in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(images - mean) / std``."""
        return (images - self.mean) / self.std


class SampleNormalisation(nn.Module):
    """Centre and scale each picture by its own mean and deviation over all pixels and channels."""

    def forward(self, images: Tensor) -> Tensor:
        """Return pictures of mean 0 and deviation 1; a picture of one colour becomes all zeros."""
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        std = images.std(dim=(1, 2, 3), keepdim=True, correction=0)
        return (images - mean) / (std + 1e-6)


class ZCAWhitening(nn.Module):
    """Decorrelate pixels by a fixed linear map that stays as close to the picture as it can.

    Source: Bell and Sejnowski, "The independent components of natural scenes are edge filters", 1997.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)

    def forward(self, images: Tensor) -> Tensor:
        """Return whitened pictures of the same shape."""
        flat = images.flatten(1) - self.mean
        return (flat @ self.matrix.to(flat.dtype)).view(images.shape)


def build_normalisation(kind: str, *, channels: int, pixels: int) -> nn.Module:
    """An empty normalisation of a kind, ready to be filled from a saved state.

    Args:
        kind: ``none``, ``dataset``, ``sample`` or ``zca``.
        channels: Of the pictures.
        pixels: Numbers per picture (channels x height x width), for ``zca``.
    """
    if kind == "dataset":
        return ChannelNormalisation((0.0,) * channels, (1.0,) * channels)
    if kind == "sample":
        return SampleNormalisation()
    if kind == "zca":
        return ZCAWhitening(torch.zeros(pixels), torch.eye(pixels))
    return nn.Identity()
