from __future__ import annotations

import errno

import pytest
import torch

from distingo.cli import dispatch as cli
from distingo.machine.memory import is_out_of_memory

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
