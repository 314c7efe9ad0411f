from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.pace import at_most
from torch import nn

from distingo.errors import ResourceError
from distingo.training import memory as guard
from distingo.training.memory import (
    TrainingPlan,
    largest_batch,
    memory_budget,
    memory_errors_explained,
    require_memory,
)
from distingo.training.recipe import Recipe
from distingo.training.step_memory import StepMemory
from raising import raises

GIB = 2**30
CPU = torch.device("cpu")


def plan(**fields: object) -> TrainingPlan:
    recipe = Recipe(**{"model": "small-cnn", "height": 8, "width": 8, "batch_size": 32, **fields})  # type: ignore[arg-type]
    return TrainingPlan(recipe, 2, "single-label", CPU, "float32")


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))


def linear(fixed: float, per_image: float) -> StepMemory:
    return StepMemory(np.array([0.0, fixed]), np.array([per_image, per_image / 2]), 0.0)


def with_free(monkeypatch: pytest.MonkeyPatch, free: int | None, total: int | None = None) -> None:
    monkeypatch.setattr(guard, "free_memory", lambda _device: free)
    monkeypatch.setattr(guard, "total_memory", lambda _device: total)


def test_the_peak_is_where_a_batch_makes_it() -> None:
    memory = linear(1000, 10)
    assert [memory.needed(size) for size in (2, 100, 200, 1000)] == [1010, 1500, 2000, 10000]


def test_in_addition_to_tensors_there_is_more() -> None:
    memory = StepMemory(np.array([100.0]), np.array([10.0]), 500.0, factor=1.5, extra=7.0, extra_per_image=1.0)
    assert memory.needed(10) == 1.5 * 500 + 7 + 10
    assert memory.needed(100) == 1.5 * 1100 + 7 + 100


def test_the_largest_batch_is_a_power_of_two() -> None:
    memory = linear(0, 10)
    assert [largest_batch(memory, budget, 1024) for budget in (19, 20, 639, 640, 10_239, 10_240, 10**9)] == [
        0,
        2,
        32,
        64,
        512,
        1024,
        1024,
    ]
    assert largest_batch(memory, 10**9, 100) == 64


def test_what_plainly_fits_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 64 * GIB)
    monkeypatch.setattr(guard, "measure_step", None)
    require_memory(network(), plan())


def test_where_nothing_reports_what_is_free_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, None)
    require_memory(network(), plan(batch_size=1_000_000))


def test_a_batch_that_cannot_fit_is_refused_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 2 * GIB)
    monkeypatch.setattr(guard, "measure_step", lambda *_, **__: linear(0.5 * GIB, GIB / 16))
    with raises(ResourceError, code="out_of_memory", parameter="batch_size") as caught:
        require_memory(network(), plan(batch_size=100_000))
    assert str(caught.value) == (
        "a batch of 100000 images needs about 6250.0 GiB, 2.0 GiB are free; batch_size 16 would fit, "
        "a smaller image_size or another model also helps"
    )


def test_a_measured_batch_that_fits_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 2 * GIB)
    monkeypatch.setattr(guard, "activation_bytes", lambda *_: 1 * GIB)
    monkeypatch.setattr(guard, "measure_step", lambda *_, **__: linear(0, GIB / 32))
    require_memory(network(), plan())


def test_where_not_two_images_fit_no_size_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, GIB)
    monkeypatch.setattr(guard, "activation_bytes", lambda *_: 1 * GIB)
    monkeypatch.setattr(guard, "measure_step", lambda *_, **__: linear(0, GIB))
    with raises(ResourceError, code="out_of_memory", parameter="batch_size") as caught:
        require_memory(network(), plan())
    assert str(caught.value) == (
        "a batch of 32 images needs about 32.0 GiB, 1.0 GiB are free; no batch would fit, "
        "a smaller image_size or another model also helps"
    )


def test_weights_alone_may_be_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 1000)
    monkeypatch.setattr(guard, "measure_step", None)
    with raises(ResourceError, code="out_of_memory", parameter="batch_size"):
        require_memory(network(), plan())


def test_memory_that_runs_out_while_it_is_measured_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with_free(monkeypatch, GIB)
    monkeypatch.setattr(guard, "activation_bytes", lambda *_: 1 * GIB)
    monkeypatch.setattr(guard, "measure_step", fail)
    with raises(ResourceError, code="out_of_memory"):
        require_memory(network(), plan())


def test_the_network_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    own = network()
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    with_free(monkeypatch, GIB)
    monkeypatch.setattr(guard, "activation_bytes", lambda *_: GIB)
    require_memory(own, plan())
    assert own.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in own.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in own.parameters())


@pytest.mark.parametrize(
    ("free", "total", "budget"),
    [(20, 24, 0.7 * 24), (24, 24, 0.7 * 24), (10, 24, 0.85 * 10), (None, 24, None), (20, None, None)],
)
def test_what_can_be_counted_on(
    monkeypatch: pytest.MonkeyPatch, free: int | None, total: int | None, budget: float | None
) -> None:
    with_free(monkeypatch, free and free * GIB, total and total * GIB)
    assert memory_budget(CPU) == (None if budget is None else int(budget * GIB))


@pytest.mark.parametrize(
    ("fields", "images", "line"),
    [
        ({"batch_size": 64}, 1000, "memory ran out with 64 images a step; try batch_size 32, "),
        ({"batch_size": 48}, 1000, "memory ran out with 48 images a step; try batch_size 32, "),
        ({"batch_size": 256}, 40, "memory ran out with 40 images a step; try batch_size 32, "),
        ({"batch_size": 2}, 1000, "memory ran out with 2 images a step; try batch_size 1, "),
        ({"batch_size": 1}, 1000, "memory ran out with 1 images a step; try "),
        ({"mode": "frozen"}, 1000, "memory ran out; try device='cpu', "),
    ],
)
def test_memory_that_runs_out_is_one_line_with_a_size_to_try(fields: dict[str, object], images: int, line: str) -> None:
    with raises(ResourceError, code="out_of_memory") as caught, memory_errors_explained(plan(**fields).recipe, images):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 16.00 GB)")
    assert str(caught.value) == f"{line}a smaller image_size or another model"


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes$"), memory_errors_explained(plan().recipe, 10):
        raise RuntimeError("shapes")


def test_best_is_not_refused_on_a_small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape of `best` (a large vision transformer, fine-tuned with 32 images a step): its blocks, but fewer."""
    timm = pytest.importorskip("timm")
    own = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=2, depth=1, img_size=64)
    with_free(monkeypatch, 4 * GIB)
    with at_most(20):
        require_memory(own, plan(height=64, width=64, optimizer="adamw", ema_decay=0.99))
