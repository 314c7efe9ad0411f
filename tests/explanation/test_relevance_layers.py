from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from distingo.explanation.relevance import MAX_LAYERS, feature_maps, first_filters
from distingo.models.heads import LinearHead, PretrainedClassifier
from distingo.models.small_networks import SmallCNN


def behind_nothing(network: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(normalisation=nn.Identity(), network=network)).eval()


def test_the_maps_of_our_own_network_are_what_its_layers_give() -> None:
    torch.manual_seed(0)
    cnn = SmallCNN(3, height=32, width=48, channels=3)
    images = torch.rand(1, 3, 32, 48)
    layers = feature_maps(behind_nothing(cnn), images)
    assert [layer.name for layer in layers] == ["stem.0", "body.0", "body.1", "body.2", "body.3", "body.4"]
    assert len(layers) <= MAX_LAYERS
    with torch.no_grad():
        maps = cnn.stem(images)[0].numpy()
    first = layers[0]
    assert first.channels == 16
    assert np.allclose(first.maps, maps[list(first.shown)])
    varying = first.maps.std(axis=(1, 2))
    assert (np.diff(varying) <= 1e-6).all()


def test_first_filters_come_strongest_first() -> None:
    torch.manual_seed(0)
    cnn = SmallCNN(2, height=16, width=16, channels=1)
    name, filters = first_filters(behind_nothing(cnn))
    assert name == "stem.0.convolution"
    assert filters.shape == (16, 3, 3, 1)
    lengths = (filters**2).sum(axis=(1, 2, 3))
    assert (np.diff(lengths) <= 0).all()
    weights = cnn.stem[0].convolution.weight.detach().numpy()
    assert np.isclose(lengths[0], (weights**2).sum(axis=(1, 2, 3)).max())


def test_a_transformer_shows_its_tokens_in_their_places() -> None:
    import timm

    torch.manual_seed(0)
    backbone = timm.create_model("test_vit", num_classes=0, img_size=(64, 96))
    network = behind_nothing(PretrainedClassifier(backbone, LinearHead(64, 2)))
    layers = feature_maps(network, torch.rand(1, 3, 64, 96))
    assert layers
    assert {layer.maps.shape[1:] for layer in layers} == {(4, 6)}
    assert first_filters(network)[1].shape[1:] == (16, 16, 3)
