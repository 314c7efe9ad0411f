from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from distingo.errors import ModelError
from distingo.models.fashion_cnn import FashionCNN


def test_parameter_counts_are_those_of_the_reference() -> None:
    counts = [weight.numel() for weight in FashionCNN(10).parameters()]
    assert counts == [288, 32, 18432, 64, 73728, 128, 147456, 128, 1280, 10]


def test_logits_are_those_of_the_layers_written_out() -> None:
    torch.manual_seed(0)
    model = FashionCNN(10, height=28, width=28).eval()
    images = torch.rand(3, 1, 28, 28)
    parameters = iter(model.parameters())
    x = images
    for _ in range(3):
        x = F.max_pool2d(F.relu(F.conv2d(x, next(parameters), next(parameters), padding="same")), 2)
    x = x.permute(0, 2, 3, 1).flatten(1)
    for _ in range(1):
        x = F.relu(F.linear(x, next(parameters), next(parameters)))
    expected = F.linear(x, next(parameters), next(parameters))
    torch.testing.assert_close(model(images), expected)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model.to(memory_format=torch.channels_last)(channels_last), expected)


@pytest.mark.parametrize(("classes", "height", "width", "channels"), [(1, 8, 8, 1), (7, 25, 40, 3), (2, 64, 9, 4)])
def test_any_size_channels_and_classes(classes: int, height: int, width: int, channels: int) -> None:
    model = FashionCNN(classes, height=height, width=width, channels=channels)
    assert model(torch.rand(2, channels, height, width)).shape == (2, classes)


def test_too_small_a_picture_is_refused_with_the_smallest_allowed() -> None:
    with pytest.raises(ModelError, match=r"7x64.*at least 8x8"):
        FashionCNN(2, height=7, width=64)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_impossible_dropout_is_refused(dropout: float) -> None:
    with pytest.raises(ModelError, match="dropout"):
        FashionCNN(2, dropout=dropout)


def test_it_learns_to_tell_dark_from_bright() -> None:
    torch.manual_seed(0)
    model = FashionCNN(2, height=16, width=16, channels=1, dropout=0.0)
    images = torch.rand(32, 1, 16, 16) * 0.5
    targets = torch.arange(32) % 2
    images[targets == 1] += 0.5
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model(images), targets).backward()
        optimizer.step()
    assert (model.eval()(images).argmax(1) == targets).float().mean() > 0.9
