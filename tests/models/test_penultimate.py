from __future__ import annotations

import pytest
import torch
from torch import nn

from distingo.models.heads import last_layer, record_features
from distingo.models.saved import ModelDescription, assemble_network
from distingo.records import Rendition


@pytest.mark.parametrize(
    ("name", "features"), [("small-cnn", 128), ("fashion-cnn", 128), ("sports-cnn", 128), ("poster-cnn", 64)]
)
def test_features_are_what_the_last_layer_decides_by(name: str, features: int) -> None:
    described = ModelDescription(name, "network", "single-label", ("a", "b", "c"), Rendition(32, 32, 3))
    network = assemble_network(described).eval()
    with torch.no_grad(), record_features(network) as seen:
        logits = network(torch.rand(2, 3, 32, 32))
    (found,) = seen
    assert found.shape == (2, features)
    assert torch.equal(last_layer(network)(found), logits)
    network(torch.rand(2, 3, 32, 32))
    assert len(seen) == 1


def test_a_network_without_a_dense_layer_is_refused() -> None:
    network = nn.Sequential()
    network.add_module("network", nn.Conv2d(3, 2, 1))
    with pytest.raises(TypeError, match="no dense layer"):
        last_layer(network)
