from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import distingo
from distingo import cli
from distingo.datasets.cache.store import Cache
from distingo.datasets.options import Reading
from distingo.errors import ResourceError, UsageError
from distingo.files import read_json
from distingo.training import memory as batch_size
from distingo.training import preparing
from distingo.training.memory import TrainingPlan, batch_size_limit, find_batch_size, scaled_lr, training_images
from distingo.training.pretrained import load_requested_backbone
from distingo.training.recipe import Recipe
from distingo.training.request import RequestedOptions, TrainRequest, repeat
from distingo.training.step_memory import StepMemory
from note_texts import stored_texts, texts
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes

RECIPE = Recipe(model="small-cnn", height=8, width=8, batch_size=32, lr=2e-3, optimizer="adamw")
MIB = 2**20


def dataset(train: int, validation: int = 0, test: int = 0) -> Any:
    splits = ["train" if validation or test else None] * train + ["validation"] * validation + ["test"] * test
    images = [SimpleNamespace(predefined_split=split) for split in splits]
    return SimpleNamespace(images=images, classes=("a", "b"), task="single-label")


@pytest.fixture
def a_mebibyte_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_plan: TrainingPlan, _network: object) -> StepMemory:
        return StepMemory(np.array([0.0]), np.array([MIB]), 0.0)

    monkeypatch.setattr(TrainingPlan, "measure", measure)


def budget(monkeypatch: pytest.MonkeyPatch, mebibytes: int | None) -> None:
    monkeypatch.setattr(batch_size, "memory_budget", lambda _device: None if mebibytes is None else mebibytes * MIB)


@pytest.mark.parametrize(
    ("count", "usual", "most"),
    [(10, 32, 32), (1000, 32, 32), (1023, 32, 32), (1024, 32, 64), (5000, 32, 256), (10**6, 128, 1024), (10, 48, 32)],
)
def test_an_epoch_keeps_its_steps(count: int, usual: int, most: int) -> None:
    assert batch_size_limit(count, usual=usual) == most


@pytest.mark.parametrize(
    ("splits", "count"), [((1000, 0, 0), 680), ((1000, 0, 500), 850), ((1000, 100, 100), 1000), ((1000, 100, 0), 800)]
)
def test_training_images_are_counted_before_the_split(splits: tuple[int, int, int], count: int) -> None:
    assert training_images(dataset(*splits), RECIPE) == count


@pytest.mark.parametrize(
    ("optimizer", "size", "lr"), [("adamw", 128, 4e-3), ("adam", 64, 2.83e-3), ("sgd", 128, 8e-3), ("adamw", 8, 1e-3)]
)
def test_the_learning_rate_goes_with_the_batch(optimizer: str, size: int, lr: float) -> None:
    recipe = Recipe(model="small-cnn", height=8, width=8, batch_size=32, lr=2e-3, optimizer=optimizer)  # type: ignore[arg-type]
    assert scaled_lr(recipe, size) == lr


@pytest.mark.usefixtures("a_mebibyte_an_image")
@pytest.mark.parametrize(
    ("mebibytes", "images", "size", "reason"),
    [
        (100, 100_000, 64, "twice as many would not fit into 0.1 GiB with certainty"),
        (64, 100_000, 64, "twice as many would not fit into 0.1 GiB with certainty"),
        (2**20, 100_000, 1024, "more is of no use"),
        (2**20, 6000, 128, "more would leave an epoch fewer than 16 steps"),
        (5, 6000, 4, "twice as many would not fit into 0.0 GiB with certainty"),
    ],
)
def test_the_largest_power_of_two_that_fits(
    monkeypatch: pytest.MonkeyPatch, mebibytes: int, images: int, size: int, reason: str
) -> None:
    budget(monkeypatch, mebibytes)
    found = find_batch_size(RECIPE, dataset(images), None, keep_lr=True)
    assert (found.recipe.batch_size, found.recipe.lr) == (size, 2e-3)
    assert texts(found.choices) == (f"batch size: {size}, because --batch-size auto was given and {reason}",)


@pytest.mark.usefixtures("a_mebibyte_an_image")
def test_the_learning_rate_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    budget(monkeypatch, 128)
    found = find_batch_size(RECIPE, dataset(100_000), None, keep_lr=False)
    assert (found.recipe.batch_size, found.recipe.lr) == (128, 4e-3)
    assert (
        texts(found.choices)[1] == "learning rate: 0.004 instead of 0.002, because a batch has 128 images instead of 32"
    )


@pytest.mark.usefixtures("a_mebibyte_an_image")
def test_where_not_two_images_fit_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    budget(monkeypatch, 1)
    with raises(ResourceError, code="out_of_memory", parameter="batch_size"):
        find_batch_size(RECIPE, dataset(1000), None, keep_lr=False)


def test_a_device_that_does_not_count_gets_the_usual_size(monkeypatch: pytest.MonkeyPatch) -> None:
    budget(monkeypatch, None)
    found = find_batch_size(RECIPE, dataset(100_000), None, keep_lr=False)
    assert found.recipe == RECIPE
    assert texts(found.choices)[0].endswith("cpu does not say how much memory it has")


@pytest.mark.parametrize(("model", "mode"), [("descriptors", "scratch"), ("fast", "frozen")])
def test_what_is_not_trained_by_steps_has_no_batch_size(model: str, mode: str) -> None:
    recipe = Recipe(model=model, height=8, width=8, mode=mode)  # type: ignore[arg-type]
    found = find_batch_size(recipe, dataset(1000), None, keep_lr=False)
    name = "a frozen backbone" if mode == "frozen" else model
    assert found.recipe == recipe
    assert texts(found.choices) == (f"not used: --batch-size, because {name} is not trained by steps",)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "colours", size=16)


QUICK = {"model": "small-cnn", "image_size": 8, "epochs": 1}


def config_of(folder: Path, name: str = "config.json") -> dict[str, Any]:
    content: dict[str, Any] = read_json(folder / name)
    return content


def request(data: Path, output: Path, *, resume: bool = False, **options: Any) -> TrainRequest:
    return TrainRequest(
        reading=Reading(cache=Cache(data.parent / "cache")), data=data, output=output, options=options, resume=resume
    )


def test_the_number_is_recorded_so_that_every_later_command_takes_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, _ = preparing.start(request(data, tmp_path / "run", batch_size="auto", **QUICK))
    config = config_of(tmp_path / "run")
    assert prepared.recipe.batch_size == config["recipe"]["batch_size"] == 32  # so few images allow no more
    assert config["requested"] == {"batch_size": "auto"}
    assert any(
        choice.startswith("batch size: 32, because --batch-size auto") for choice in stored_texts(config["choices"])
    )

    monkeypatch.setattr(preparing, "find_batch_size", None)  # nothing is found anew
    for options in ({}, {"batch_size": "auto"}, {"batch_size": 32}):
        resumed, _ = preparing.resume(request(data, tmp_path / "run", resume=True, **options))
        assert resumed.recipe == prepared.recipe
    with raises(UsageError, code="changed_options", parameter="batch_size"):
        preparing.resume(request(data, tmp_path / "run", resume=True, batch_size=64))
    wanted = repeat(tmp_path / "run" / "config.json", RequestedOptions())
    again, _ = preparing.start(request(data, tmp_path / "again", **wanted.options))
    assert again.recipe == prepared.recipe
    with raises(UsageError, code="changed_options", parameter="batch_size", naming="'auto'"):
        preparing.resume(request(data, tmp_path / "again", resume=True, batch_size="auto"))


def test_fine_tuning_measures_the_backbone_and_leaves_it_as_it_was(data: Path, tmp_path: Path) -> None:
    backbone = load_requested_backbone({"model": str(write_backbone(tmp_path / "tiny"))})
    assert backbone is not None
    before = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    recipe = Recipe(model="fast", height=32, width=32, batch_size=32, mode="finetune", optimizer="adamw", lr=1e-3)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    found = find_batch_size(recipe, dataset(2000), backbone, keep_lr=False)
    assert torch.equal(torch.rand(2), expected)
    assert (found.recipe.batch_size, found.recipe.lr) == (64, 1.41e-3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.module.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.module.parameters())


def test_cross_validation_finds_one_size_for_all_folds(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget(monkeypatch, 1)
    monkeypatch.setattr(
        TrainingPlan, "measure", lambda _plan, _network: StepMemory(np.array([0.0]), np.array([MIB / 16]), 0.0)
    )
    settings = {**QUICK, "cache": tmp_path / "cache", "folds": 2}
    found = distingo.crossval(data, tmp_path / "folds", batch_size="auto", **settings)
    assert found.recipe["batch_size"] == 16
    assert found.recipe["lr"] == 1.41e-3


def test_a_search_keeps_to_the_size_that_was_found(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    budget(monkeypatch, 1)
    monkeypatch.setattr(
        TrainingPlan, "measure", lambda _plan, _network: StepMemory(np.array([0.0]), np.array([MIB / 16]), 0.0)
    )
    settings = {**QUICK, "cache": tmp_path / "cache", "batch_size": "auto"}
    distingo.tune(data, tmp_path / "tune", trials=2, **settings)
    budget(monkeypatch, 1000)
    search = distingo.tune(data, tmp_path / "tune", trials=3, **settings)
    assert config_of(tmp_path / "tune", "batch-sizes.json") == {"scratch": {"batch_size": 16, "lr": 1.41e-3}}
    assert search.best is not None
    assert search.best["batch_size"] == 16
    assert len(search.trials) == 3
    assert search.trials[0].values["lr"] == 1.41e-3


@pytest.mark.parametrize("text", ["big", "1.5", ""])
def test_another_word_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "data", "--batch-size", text]) == 2
    assert f"{text!r} is no batch size; give a whole number such as 32, or auto" in capsys.readouterr().err
