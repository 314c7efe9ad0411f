"""Free and total memory, this process's peak memory, and detection of out-of-memory errors."""

from __future__ import annotations

import ctypes
import errno
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that can still be allocated, or None if unknown.

    Memory that this process has freed but still holds is released first, so that it is included.
    """
    if device.type == "cpu":
        _release_free_pages()
        return _minimum(_meminfo("MemAvailable"), _address_space_left(), _cgroup_left())
    accelerator = _backend(device)
    if hasattr(accelerator, "empty_cache"):
        accelerator.empty_cache()
    if device.type == "mps":
        total = total_memory(device)
        return None if total is None else max(0, total - int(accelerator.driver_allocated_memory()))
    return int(accelerator.mem_get_info(device)[0]) if hasattr(accelerator, "mem_get_info") else None


def total_memory(device: torch.device) -> int | None:
    """Return the bytes that are available to this process on an idle machine, or None if unknown."""
    if device.type == "cpu":
        return _minimum(_meminfo("MemTotal"), _address_space(), _cgroup_limit())
    accelerator = _backend(device)
    if device.type == "mps":
        return int(accelerator.recommended_max_memory()) if hasattr(accelerator, "recommended_max_memory") else None
    return int(accelerator.mem_get_info(device)[1]) if hasattr(accelerator, "mem_get_info") else None


def _backend(device: torch.device) -> Any:
    """Return torch's module for an accelerator: `torch.cuda`, `torch.xpu` or `torch.mps`."""
    import torch

    return getattr(torch, device.type, None)


def _minimum(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _release_free_pages() -> None:
    """Make glibc's malloc release free pages, which `distingo.machine.process` makes it keep."""
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


def forget_peak_memory() -> bool:
    """Reset the peak memory of this process, if Linux supports it.

    Returns:
        Whether the peak was reset; otherwise it remains that of the process's whole lifetime.
    """
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def peak_memory() -> int | None:
    """Return this process's largest resident set size in bytes, or None if unavailable (Windows)."""
    try:
        usage = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:
        usage = None
    if usage:
        return int(usage[1]) * 1024
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


# These libraries raise plain RuntimeErrors (torch.OutOfMemoryError is one, too), so only their text can be checked.
_PHRASES = (
    "out of memory",  # CUDA, HIP, MPS ("MPS backend out of memory") and XPU
    "out_of_memory",  # CUDA_ERROR_OUT_OF_MEMORY
    "out_of_device_memory",  # level zero's UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY on XPU
    "out_of_host_memory",
    "out_of_resources",  # UR_RESULT_ERROR_OUT_OF_RESOURCES, what Intel's driver says of full memory
    "outofmemory",  # hipErrorOutOfMemory
    "errormemoryallocation",  # cudaErrorMemoryAllocation
    "status_alloc_failed",  # CUBLAS_, CUDNN_, CUSOLVER_, CUSPARSE_STATUS_ALLOC_FAILED
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED and its like
    "can't allocate memory",  # DefaultCPUAllocator on Linux
    "cannot allocate memory",
    "not enough memory",  # DefaultCPUAllocator on Windows
    "invalid buffer size",  # MPS, for a tensor that is larger than any buffer may be
    "bad_alloc",  # std::bad_alloc
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that the machine or a device is out of memory."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _PHRASES)
