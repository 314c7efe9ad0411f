from __future__ import annotations

import pytest
import torch
from torch import nn

from distingo.training.recipe import Recipe
from distingo.training.step import WeightAverage, build_optimizer, learning_rate


def recipe(**fields: object) -> Recipe:
    return Recipe(model="small-cnn", height=8, width=8, **fields)  # type: ignore[arg-type]


def test_constant_schedule_warms_up_linearly() -> None:
    rates = [learning_rate(recipe(lr=1.0, warmup_epochs=1.0, epochs=3), step, 4) for step in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_cosine_schedule_ends_near_zero() -> None:
    cosine = recipe(lr=1.0, schedule="cosine", epochs=10)
    assert learning_rate(cosine, 0, 10) == 1.0
    assert learning_rate(cosine, 50, 10) == pytest.approx(0.5)
    assert learning_rate(cosine, 99, 10) < 0.001


def test_one_cycle_peaks_after_its_rise() -> None:
    cycle = recipe(lr=1.0, schedule="one-cycle", epochs=10)
    rates = [learning_rate(cycle, step, 10) for step in range(100)]
    assert max(rates) == rates[30] == 1.0
    assert rates[0] == pytest.approx(0.04)
    assert rates == sorted(rates[:31]) + sorted(rates[31:], reverse=True)


def test_biases_and_normalisation_are_not_decayed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = build_optimizer(network, recipe(optimizer="adamw", weight_decay=0.1))
    decays = {
        parameter.ndim: group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]
    }
    assert decays == {4: 0.1, 1: 0.0}


def test_sgd_without_momentum_takes_a_plain_step() -> None:
    layer = nn.Linear(1, 1, bias=False)
    before = layer.weight.item()
    optimizer = build_optimizer(layer, recipe(optimizer="sgd", momentum=0.0, lr=0.5))
    layer(torch.ones(1, 1)).backward()
    optimizer.step()
    assert layer.weight.item() == pytest.approx(before - 0.5)


def test_the_average_follows_faster_at_first() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = WeightAverage(layer, decay=0.99)
    nn.init.ones_(layer.weight)
    average.update(layer, step=0)
    assert average.state["weight"].item() == pytest.approx(0.9)
    average.update(layer, step=10_000)
    assert average.state["weight"].item() == pytest.approx(0.9 * 0.99 + 0.01)
