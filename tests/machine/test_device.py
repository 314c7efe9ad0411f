from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distingo.errors import ResourceError, UsageError
from distingo.machine import device as machine
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


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "bfloat16_instructions", lambda: "amx_bf16")
    precision, reason = machine.choose_precision("cpu")
    assert precision == "bfloat16"
    assert "amx_bf16" in str(reason)
    monkeypatch.setattr(machine, "bfloat16_instructions", lambda: None)
    precision, reason = machine.choose_precision(torch.device("cpu"))
    assert precision == "float32"
    assert "avx512_bf16" in str(reason)


def test_precision_follows_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert machine.choose_precision("cuda")[0] == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert machine.choose_precision("cuda")[0] == "float32"


def test_other_devices_compute_in_float32() -> None:
    assert machine.choose_precision("mps")[0] == "float32"


def test_flags_are_read_from_linux(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16 amx_bf16\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert machine.linux_flags(cpuinfo) == {"fpu", "avx512_bf16", "amx_bf16"}
    assert machine.linux_flags(tmp_path / "none") == frozenset()


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="needs Linux")
def test_torch_and_linux_agree_on_bfloat16() -> None:
    linux = machine.linux_flags(Path("/proc/cpuinfo"))
    known = machine._capabilities()
    for flag in ("amx_bf16", "avx512_bf16"):
        assert (flag in linux) == (flag in known)
