from __future__ import annotations

import pytest
import torch

from distingo.errors import ResourceError, UsageError
from distingo.machine.device import available_devices, choose_device
from raising import raises


@pytest.fixture
def only_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(only_a_processor: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    "name",
    ["meta", "vulkan", "hpu", "cuda", "cuda:99", "cuda:-1", "mps", "xpu", "cpu:1", "CPU", "gpu", "", "cuda:", "lazy"],
)
def test_a_device_that_is_not_here_is_one_line_with_those_that_are(only_a_processor: None, name: str) -> None:
    with raises(UsageError, code="device_unavailable", parameter="device") as caught:
        choose_device(name)
    assert str(caught.value) == f"device {name}: not available here; choose auto or cpu"


@pytest.mark.parametrize("name", ["auto", "cpu", "cpu:0"])
def test_the_processor_is_always_there(only_a_processor: None, name: str) -> None:
    assert choose_device(name).type == "cpu"


def test_devices_are_counted(two_gpus: None) -> None:
    assert available_devices() == ("auto", "cpu", "cuda", "cuda:0", "cuda:1")
    with raises(UsageError, code="device_unavailable", parameter="device") as caught:
        choose_device("cuda:2")
    assert str(caught.value) == ("device cuda:2: not available here; choose auto or cpu or cuda or cuda:0 or cuda:1")


def test_a_device_that_is_full_is_not_called_missing(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    monkeypatch.setattr(torch, "empty", fail)
    with raises(ResourceError, code="out_of_memory", parameter="device"):
        choose_device("cuda:1")


@pytest.mark.parametrize("error", [RuntimeError("no driver"), AssertionError("not compiled"), ImportError("habana")])
def test_a_device_that_does_not_work_is_not_available(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> torch.Tensor:
        raise error

    monkeypatch.setattr(torch, "empty", fail)
    with raises(UsageError, code="device_unavailable", parameter="device"):
        choose_device("cuda")
