"""The device that networks run on, and its precision."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from distingo.errors import ResourceError, UsageError, option
from distingo.machine.memory import is_out_of_memory
from distingo.messages.notes import Note, note

Precision = Literal["float32", "bfloat16"]


_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")

_CPUINFO = Path("/proc/cpuinfo")


def choose_precision(device: torch.device | str) -> tuple[Precision, Note]:
    """Choose the fastest precision in which networks train and predict without losing accuracy.

    Args:
        device: Device that the networks run on.

    Returns:
        ``bfloat16`` if the device supports it, otherwise ``float32``; and the reason.
    """
    device = torch.device(device)
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", note("gpu-has-bfloat16")
        return "float32", note("gpu-lacks-bfloat16")
    if device.type != "cpu":
        return "float32", note("bfloat16-untested", device=device.type)
    flag = bfloat16_instructions()
    if flag is not None:
        return "bfloat16", note("processor-has-bfloat16", flag=flag)
    first, second = _BFLOAT16_FLAGS
    return "float32", note("processor-lacks-bfloat16", first=first, second=second)


@cache
def bfloat16_instructions() -> str | None:
    """Return the CPU's bfloat16 instructions by their Linux name (``amx_bf16``, ``avx512_bf16``), or None."""
    present = _capabilities()
    return next((flag for flag in _BFLOAT16_FLAGS if flag in present), None)


def _capabilities(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the names of instruction sets, as reported by torch (from 2.8 on) or by Linux."""
    report = getattr(torch.cpu, "get_capabilities", None)
    if report is not None:
        return frozenset(name for name, present in report().items() if present is True)
    return linux_flags(cpuinfo)


def linux_flags(cpuinfo: Path) -> frozenset[str]:
    """Return the first CPU's flags from a file like ``/proc/cpuinfo``, or an empty set if there is no such file."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


_NAME = re.compile(r"(cpu|cuda|mps|xpu)(?::(0|[1-9]\d{0,3}))?")


def choose_device(name: str) -> torch.device:
    """Return the requested device, or the best available one.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``, ``xpu:1``.

    Raises:
        UsageError: The device is not available, or networks can't run on it.
        ResourceError: The device has no free memory.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    matched = _NAME.fullmatch(name)
    if matched is None or int(matched[2] or 0) >= _count(matched[1]):
        raise UsageError(_refusal(name), code="device_unavailable", parameter="device")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        if is_out_of_memory(error):
            raise ResourceError(
                f"{option('device')} {name}: other programs hold all of its memory; end them",
                code="out_of_memory",
                parameter="device",
            ) from error
        raise UsageError(_refusal(name), code="device_unavailable", parameter="device") from error
    return device


def available_devices() -> tuple[str, ...]:
    """Return the names that `choose_device` accepts on this machine."""
    names = ["auto", "cpu"]
    for kind in ("cuda", "mps", "xpu"):
        count = _count(kind)
        names += [kind] if count else []
        names += [f"{kind}:{number}" for number in range(count)] if count > 1 else []
    return tuple(names)


def _count(kind: str) -> int:
    if kind == "cpu":
        return 1
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    backend = getattr(torch, kind)
    return int(backend.device_count()) if backend.is_available() else 0


def _refusal(name: str) -> str:
    return f"{option('device')} {name}: not available here; choose {' or '.join(available_devices())}"
