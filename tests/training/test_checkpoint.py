from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from distingo.errors import RunError
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord
from distingo.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from distingo.training.recipe import Recipe
from distingo.training.step import WeightAverage, build_optimizer
from raising import raises

RECIPE = Recipe(model="small-cnn", height=8, width=8, optimizer="adamw", ema_decay=0.9)
RECORD = EpochRecord(1, 0.1, 0.2, 0.3, 0.4, 0.5, 6.0, 7.0)


def network() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    return model.to(memory_format=torch.channels_last)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage, count: int) -> None:
    for step in range(count):
        optimizer.zero_grad()
        model(torch.full((2, 3, 8, 8), 0.1 * step)).square().sum().backward()
        optimizer.step()
        average.update(model, step)


def test_a_restored_state_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network()
    optimizer, average = build_optimizer(model, RECIPE), WeightAverage(model, 0.9)
    steps(model, optimizer, average, 3)
    save_checkpoint(RunFolder(tmp_path), Progress(1, 1, 0.4, (RECORD,)), model, optimizer, average.state)

    other = network()
    other_optimizer, other_average = build_optimizer(other, RECIPE), WeightAverage(other, 0.9)
    progress = load_checkpoint(RunFolder(tmp_path).last_checkpoint, other, other_optimizer, other_average.state)
    assert progress == Progress(1, 1, 0.4, (RECORD,))
    for state in ((model, optimizer, average), (other, other_optimizer, other_average)):
        steps(*state, 3)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
        assert torch.equal(average.state[name], other_average.state[name])
    moments = [state["exp_avg"] for state in other_optimizer.state.values()]
    assert moments[0].is_contiguous(memory_format=torch.channels_last)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    model = network()
    optimizer = build_optimizer(model, RECIPE)
    save_checkpoint(RunFolder(tmp_path), Progress(), model, optimizer, None)
    last = RunFolder(tmp_path).last_checkpoint
    last.write_bytes(last.read_bytes()[:-10])
    with raises(RunError, code="checksum_differs", naming="last.safetensors"):
        load_checkpoint(RunFolder(tmp_path).last_checkpoint, model, optimizer, None)


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    model = network()
    save_checkpoint(RunFolder(tmp_path), Progress(), model, build_optimizer(model, RECIPE), None)
    other = nn.Linear(3, 2)
    with raises(RunError, code="weights_differ"):
        load_checkpoint(RunFolder(tmp_path).last_checkpoint, other, build_optimizer(other, RECIPE), None)


@pytest.mark.parametrize(("fused", "device"), [(True, "meta"), (False, "cpu")])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_the_count_of_steps_is_where_torch_wants_it(
    tmp_path: Path, kind: type[torch.optim.Optimizer], *, fused: bool, device: str
) -> None:
    """As on a GPU, for which a device without memory stands in: fused optimizers count on the device, others do not."""
    model = network()
    optimizer = kind(model.parameters(), fused=True)  # type: ignore[call-arg]
    steps(model, optimizer, WeightAverage(model, 0.9), 2)
    save_checkpoint(RunFolder(tmp_path), Progress(2, 1, 0.4, (RECORD,)), model, optimizer, None)

    elsewhere = network().to("meta")
    other = kind(elsewhere.parameters(), fused=fused)  # type: ignore[call-arg]
    other.param_groups[0]["lr_scale"] = 0.5
    load_checkpoint(RunFolder(tmp_path).last_checkpoint, elsewhere, other, None)
    for parameter, state in other.state.items():
        assert state["step"].device.type == device
        assert state["step"].dtype == torch.float32
        assert state["exp_avg"].device.type == state["exp_avg_sq"].device.type == "meta"
        assert state["exp_avg"].stride() == parameter.stride()
    assert len(other.state) == len(list(elsewhere.parameters()))
    assert other.param_groups[0]["lr_scale"] == 0.5


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_every_optimizer_goes_on_as_if_nothing_had_happened(tmp_path: Path, kind: str) -> None:
    recipe = Recipe(model="small-cnn", height=8, width=8, optimizer=kind, ema_decay=0.9)  # type: ignore[arg-type]
    model = network()
    optimizer, average = build_optimizer(model, recipe), WeightAverage(model, 0.9)
    steps(model, optimizer, average, 3)
    save_checkpoint(RunFolder(tmp_path), Progress(), model, optimizer, average.state)
    other = network()
    other_optimizer, other_average = build_optimizer(other, recipe), WeightAverage(other, 0.9)
    load_checkpoint(RunFolder(tmp_path).last_checkpoint, other, other_optimizer, other_average.state)
    saved, loaded = optimizer.state_dict(), other_optimizer.state_dict()
    assert saved["param_groups"] == loaded["param_groups"]
    assert saved["state"].keys() == loaded["state"].keys()
    for position, state in saved["state"].items():
        for name, value in state.items():
            assert torch.equal(value, loaded["state"][position][name])
            assert value.stride() == loaded["state"][position][name].stride()
