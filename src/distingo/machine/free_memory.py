"""How much memory there is for networks, in all and now."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")

_MEMINFO = Path("/proc/meminfo")


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be allocated; None where nothing says so.

    What this process freed and kept for itself is given back first, so that it counts.
    """
    if device.type == "cpu":
        _give_back()
        return _least(_meminfo("MemAvailable"), _address_space_left(), _cgroup_left())
    accelerator = _backend(device)
    if hasattr(accelerator, "empty_cache"):
        accelerator.empty_cache()
    if device.type == "mps":
        total = total_memory(device)
        return None if total is None else max(0, total - int(torch.mps.driver_allocated_memory()))
    return int(accelerator.mem_get_info(device)[0]) if hasattr(accelerator, "mem_get_info") else None


def total_memory(device: torch.device) -> int | None:
    """Bytes that there are for this process when nothing else computes; None where nothing says so."""
    if device.type == "cpu":
        return _least(_meminfo("MemTotal"), _address_space(), _cgroup_limit())
    accelerator = _backend(device)
    if device.type == "mps":
        return int(accelerator.recommended_max_memory()) if hasattr(accelerator, "recommended_max_memory") else None
    return int(accelerator.mem_get_info(device)[1]) if hasattr(accelerator, "mem_get_info") else None


def _backend(device: torch.device) -> object:
    """The module of torch for a kind of accelerator: `torch.cuda`, `torch.xpu`, `torch.mps`."""
    return getattr(torch, device.type, None)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _give_back() -> None:
    """Let glibc's malloc return free pages, which `distingo.machine.device` tells it to keep."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _meminfo(name: str) -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields[name].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _address_space_left() -> int | None:
    limit = _address_space()
    if limit is None:
        return None
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not on macOS
        return None
    return max(0, limit - pages * resource.getpagesize())


def _cgroup_limit() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        return None if limit == "max" else int(limit)
    except (OSError, ValueError):
        return None


def _cgroup_left() -> int | None:
    limit = _cgroup_limit()
    try:
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if limit is None else max(0, limit - used)
