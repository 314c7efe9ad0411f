from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from distingo import cli
from distingo.machine import memory as module
from distingo.machine.memory import free_memory, is_out_of_memory, total_memory

ALLOCATOR = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
WINDOWS = (
    "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"
)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of"),
        torch.OutOfMemoryError("XPU out of memory. Tried to allocate 8.00 GiB. GPU 0 has a total capacity of"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 16.00 GB, other allocations: 1.61 GB, max allowed"),
        RuntimeError("Invalid buffer size: 24.00 GiB"),
        RuntimeError("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
        RuntimeError(ALLOCATOR),
        RuntimeError(WINDOWS),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_every_way_of_running_out_is_recognized(error: BaseException) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("out of memory"),
    ],
)
def test_other_errors_are_not(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_torch_raises_what_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)


def test_a_command_ends_with_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_options: object) -> int:
        raise RuntimeError("MPS backend out of memory (MPS allocated: 16.00 GB)")

    def parse(_words: object) -> object:
        return type("Options", (), {"command": staticmethod(fail)})

    monkeypatch.setattr(cli, "_parse", parse)
    assert cli.main(["models"]) == 1
    assert capsys.readouterr().err == (
        "distingo: memory ran out; end other programs, or choose --device cpu, fewer --workers or a smaller --model\n"
    )


def test_other_errors_of_a_command_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_options: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli, "_parse", lambda _words: type("Options", (), {"command": staticmethod(fail)}))
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["models"])


CPU = torch.device("cpu")
KIB = 1024


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  600 kB\n", encoding="ascii")
    monkeypatch.setattr(module, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(module, "_CGROUP", tmp_path)
    monkeypatch.setattr(module, "_address_space", lambda: None)
    return tmp_path


def limit(machine: Path, most: str, used: int) -> None:
    (machine / "memory.max").write_text(most, encoding="ascii")
    (machine / "memory.current").write_text(str(used), encoding="ascii")


def test_the_system_reports_what_is_available(machine: Path) -> None:
    assert (free_memory(CPU), total_memory(CPU)) == (600 * KIB, 1000 * KIB)


def test_a_container_may_have_less(machine: Path) -> None:
    limit(machine, str(500 * KIB), 300 * KIB)
    assert (free_memory(CPU), total_memory(CPU)) == (200 * KIB, 500 * KIB)


def test_a_container_without_a_limit_has_all(machine: Path) -> None:
    limit(machine, "max\n", 300 * KIB)
    assert (free_memory(CPU), total_memory(CPU)) == (600 * KIB, 1000 * KIB)


def test_a_full_container_has_nothing(machine: Path) -> None:
    limit(machine, str(500 * KIB), 501 * KIB)
    assert free_memory(CPU) == 0


def test_a_limit_of_the_address_space_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_address_space", lambda: 10 * KIB)
    assert (free_memory(CPU), total_memory(CPU)) == (0, 10 * KIB)  # this process has more than that


def test_what_is_not_reported_is_unknown(machine: Path) -> None:
    (machine / "meminfo").unlink()
    assert (free_memory(CPU), total_memory(CPU)) == (None, None)


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_an_accelerator_gives_back_what_it_keeps_before_it_reports(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    backend = getattr(torch, kind)
    calls: list[object] = []
    monkeypatch.setattr(backend, "empty_cache", lambda: calls.append("given back"))
    monkeypatch.setattr(backend, "mem_get_info", lambda device: (calls.append(device), (3, 8))[1], raising=False)
    device = torch.device(kind, 1)
    assert free_memory(device) == 3
    assert calls == ["given back", device]
    assert total_memory(device) == 8


def test_apples_processor_reports_what_it_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 100, raising=False)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 30)
    device = torch.device("mps")
    assert (free_memory(device), total_memory(device)) == (70, 100)


def test_this_machine_has_memory() -> None:
    free, total = free_memory(CPU), total_memory(CPU)
    assert free is None or total is None or 0 < free <= total
