from __future__ import annotations

import torch
from torch import Tensor, nn

from distingo.models.layers import summarise
from distingo.models.reference_networks import SportsCNN


def test_every_layer_has_its_shape_and_its_count() -> None:
    lines = summarise(SportsCNN(2), 224, 224, 3).splitlines()
    rows = {line.split()[0]: line for line in lines if line and not line.startswith(("-", "parameters:"))}
    assert rows["features.0.convolution"].split() == (
        ["features.0.convolution", "Conv2d", "32", "x", "224", "x", "224", "896"]
    )
    assert rows["features.2.pool"].split()[1:] == ["MaxPool2d", "64", "x", "28", "x", "28", "0"]
    assert rows["classifier.2"].split()[1:] == ["Linear", "128", "6,422,656"]
    assert lines[-1] == "parameters: 6,451,554, of which 6,451,554 are trained"
    assert len({len(line) for line in lines[:-2]}) == 1


def test_frozen_parameters_are_told_apart() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 2))
    model[1].requires_grad_(False)
    assert summarise(model, 2, 2, 3).endswith("parameters: 77, of which 12 are trained")


def test_a_layer_passed_twice_is_counted_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.layer(self.layer(images))

    rows = [line for line in summarise(Twice(), 4, 4, 3).splitlines() if "Conv2d" in line]
    assert [row.split()[-1] for row in rows] == ["12", "0"]


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    summarise(model, 3, 3, 1)
    assert [layer.training for layer in model.modules()] == [True, True, False, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(layer._forward_hooks for layer in model.modules())
