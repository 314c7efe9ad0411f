"""The published networks: sports-cnn, fashion-cnn and poster-cnn."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distingo.errors import ModelError
from distingo.models.small_networks import FashionCNN, PosterCNN, SportsCNN
from raising import raises


@dataclass(frozen=True)
class Reference:
    """A network as published, and what is said of it there."""

    kind: type[nn.Module]
    classes: int
    parameters: tuple[int, ...]
    size: tuple[int, int]
    channels: int
    blocks: int
    hidden_layers: int

    @property
    def smallest(self) -> int:
        return 2**self.blocks


REFERENCES = {
    "sports-cnn": Reference(
        SportsCNN, 2, (864, 32, 9216, 32, 18432, 64, 6422528, 128, 256, 2), (40, 24), 3, blocks=3, hidden_layers=1
    ),
    "fashion-cnn": Reference(
        FashionCNN, 10, (288, 32, 18432, 64, 73728, 128, 147456, 128, 1280, 10), (28, 28), 1, blocks=3, hidden_layers=1
    ),
    "poster-cnn": Reference(
        PosterCNN,
        25,
        (1200, 16, 12800, 32, 51200, 64, 102400, 64, 3686400, 128, 8192, 64, 1600, 25),
        (48, 36),
        3,
        blocks=4,
        hidden_layers=2,
    ),
}


@pytest.fixture(params=REFERENCES)
def reference(request: pytest.FixtureRequest) -> Reference:
    return REFERENCES[request.param]


def test_parameter_counts_are_those_of_the_reference(reference: Reference) -> None:
    assert tuple(weight.numel() for weight in reference.kind(reference.classes).parameters()) == reference.parameters


def test_logits_are_those_of_the_layers_written_out(reference: Reference) -> None:
    torch.manual_seed(0)
    height, width = reference.size
    model = reference.kind(reference.classes, height=height, width=width).eval()
    images = torch.rand(3, reference.channels, height, width)
    parameters = iter(model.parameters())
    x = images
    for _ in range(reference.blocks):
        x = F.max_pool2d(F.relu(F.conv2d(x, next(parameters), next(parameters), padding="same")), 2)
    x = x.permute(0, 2, 3, 1).flatten(1)
    for _ in range(reference.hidden_layers):
        x = F.relu(F.linear(x, next(parameters), next(parameters)))
    expected = F.linear(x, next(parameters), next(parameters))
    torch.testing.assert_close(model(images), expected)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model.to(memory_format=torch.channels_last)(channels_last), expected)


@pytest.mark.parametrize(("classes", "extra", "channels"), [(1, (0, 0), 1), (7, (34, 24), 3), (2, (48, 1), 4)])
def test_any_size_channels_and_classes(
    reference: Reference, classes: int, extra: tuple[int, int], channels: int
) -> None:
    height, width = (reference.smallest + more for more in extra)
    model = reference.kind(classes, height=height, width=width, channels=channels)
    assert model(torch.rand(2, channels, height, width)).shape == (2, classes)


def test_too_small_a_image_is_refused_with_the_smallest_allowed(reference: Reference) -> None:
    smallest = reference.smallest
    with raises(ModelError, code="unsupported_image_size"):
        reference.kind(2, height=smallest - 1, width=64)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_impossible_dropout_is_refused(reference: Reference, dropout: float) -> None:
    with raises(ModelError, code="out_of_range", parameter="dropout"):
        reference.kind(2, dropout=dropout)


def test_it_learns_to_tell_dark_from_bright(reference: Reference) -> None:
    torch.manual_seed(0)
    further = {"dense_dropout": 0.0} if reference.kind is PosterCNN else {}
    model = reference.kind(2, height=16, width=16, channels=1, dropout=0.0, **further)
    images = torch.rand(32, 1, 16, 16) * 0.5
    targets = torch.arange(32) % 2
    images[targets == 1] += 0.5
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model(images), targets).backward()
        optimizer.step()
    assert (model.eval()(images).argmax(1) == targets).float().mean() > 0.9
