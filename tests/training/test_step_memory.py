from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from distingo.machine.process import compiler_on_demand
from distingo.training.recipe import Recipe
from distingo.training.step_memory import LiveMemory, StepMemory, measure_step

CPU = torch.device("cpu")
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "memory.py"


@pytest.fixture(autouse=True)
def no_compiler() -> Iterator[None]:
    with compiler_on_demand():
        yield


def recipe(**fields: object) -> Recipe:
    settings = {"model": "small-cnn", "height": 8, "width": 8, "optimizer": "adamw", "ema_decay": 0.9, **fields}
    return Recipe(**settings)  # type: ignore[arg-type]


def measured(network: nn.Module, chosen: Recipe, precision: str = "float32", classes: int = 2) -> StepMemory:
    settings = {"classes": classes, "task": "single-label", "device": CPU, "precision": precision}
    return measure_step(network, chosen, **settings)  # type: ignore[arg-type]


def test_storages_count_once_and_until_they_are_gone() -> None:
    known = torch.zeros(1000)
    with LiveMemory(CPU, [known]) as memory:
        made = torch.zeros(256)
        assert memory.live == 1024
        view = made[:10]
        known.add_(1)
        known.view(10, 100)
        assert memory.live == 1024
        del made
        assert memory.live == 1024
        del view
        assert memory.live == 0
        half = torch.zeros(256, dtype=torch.bfloat16)
        assert memory.live == 512
        del half
    assert memory.live == 0


def test_what_the_way_back_needs_stays_alive() -> None:
    weight = torch.ones(100, requires_grad=True)
    with LiveMemory(CPU, [weight]) as memory, memory.record() as points:
        result = (weight * 2).exp().sum()
        assert memory.live == 400 + 4  # what exp gave, of which its derivative is made, and the sum
        result.backward()
        del result
        assert memory.live == 400  # the gradient
    assert points[0] == 0
    assert max(points) >= 800


def test_a_step_is_as_large_for_any_batch_as_it_is_when_it_is_taken() -> None:
    """Two ways to the same number: from batches of 2 and 3, and from the storages of a network that are known."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(192, 1000))
            self.out = nn.Parameter(torch.zeros(1000, 2))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images.flatten(1) @ self.weight).exp() @ self.out

    memory = measured(Wide(), recipe(ema_decay=0.0, optimizer="sgd", momentum=0.0))
    weights = 4 * (192 * 1000 + 1000 * 2)
    at_peak = np.max(memory.fixed + memory.per_image * 100_000)
    images, hidden, logits = 4 * 192, 4 * 1000, 4 * 2
    # on the way back: images, and flat ones; exp's result, its gradient and that of its argument
    assert at_peak == pytest.approx(100_000 * (2 * images + 3 * hidden + 3 * logits), rel=0.001)
    assert memory.fixed.max() >= weights  # gradients of the step before
    assert memory.fixed.max() < 3 * weights


def test_adam_and_the_moving_average_have_their_share() -> None:
    def fixed(**fields: object) -> float:
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 5000), nn.Linear(5000, 2))
        return float(measured(network, recipe(**fields)).fixed[0])

    weights = 4 * (193 * 5000 + 5001 * 2)
    plain = fixed(optimizer="sgd", momentum=0.0, ema_decay=0.0)
    assert plain == pytest.approx(weights, rel=0.01)
    assert fixed(optimizer="sgd", momentum=0.9, ema_decay=0.0) == pytest.approx(2 * weights, rel=0.01)
    assert fixed(optimizer="adam", ema_decay=0.0) == pytest.approx(3 * weights, rel=0.01)
    assert fixed(optimizer="adamw", ema_decay=0.9) == pytest.approx(4 * weights, rel=0.01)


def test_bfloat16_takes_less_than_float32() -> None:
    def per_image(precision: str) -> float:
        network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3), nn.Flatten(), nn.Linear(64 * 16, 2))
        return float(measured(network, recipe(), precision).per_image.max())

    assert 0.4 < per_image("bfloat16") / per_image("float32") < 0.8


def test_the_random_state_is_kept() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 2))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    measured(network, recipe(augment="standard"))
    assert torch.equal(torch.rand(3), expected)


def test_several_labels_are_measured_too() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    settings = {"classes": 3, "task": "multi-label", "device": CPU, "precision": "float32"}
    memory = measure_step(network, recipe(loss="asymmetric"), **settings)  # type: ignore[arg-type]
    assert memory.needed(20_000) > memory.needed(10_000) > memory.needed(2) > 0


def test_an_accelerator_counts_its_buffers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count of the device, for which fakes stand in, is what the estimate gives for the batch it was taken at."""
    peaks = iter([10**9, 10**9 + 10**6])
    forgotten: list[torch.device] = []
    monkeypatch.setattr(torch.cpu, "memory_allocated", lambda _device: 1000, raising=False)
    monkeypatch.setattr(torch.cpu, "reset_peak_memory_stats", forgotten.append, raising=False)
    monkeypatch.setattr(torch.cpu, "max_memory_allocated", lambda _device: next(peaks), raising=False)
    memory = measured(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), recipe())
    tensors = float(np.max(memory.fixed + 3 * memory.per_image))
    assert forgotten == [CPU, CPU]
    assert memory.factor == 1.1
    assert tensors + memory.extra + 3 * memory.extra_per_image == pytest.approx(10**9 + 10**6 - 1000)
    assert 0.9e6 < memory.extra_per_image < 1e6


@pytest.mark.parametrize(
    ("network", "precision"), [("small-cnn", "bfloat16"), pytest.param("resnet18", "float32", marks=pytest.mark.slow)]
)
def test_the_estimate_is_near_what_a_process_takes(network: str, precision: str) -> None:
    def bytes_of(task: str) -> int:
        command = [sys.executable, str(BENCHMARK), "--child", task, network, precision]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return int(json.loads(done.stdout.splitlines()[-1])["bytes"])

    assert 1 / 1.5 < bytes_of("estimate") / bytes_of("measure") < 1.5


def test_the_benchmark_found_every_network_within_the_factor() -> None:
    content = json.loads((BENCHMARK.parent / "results" / "memory.json").read_text(encoding="utf-8"))
    assert len({row["network"] for row in content["networks"]}) == 7
    assert all(1 / 1.5 < row["ratio"] < 1.5 for row in content["networks"])
