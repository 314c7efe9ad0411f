"""The features that a network's last layer decides by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from distingo.models.pretrained import PretrainedClassifier


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
