"""The most memory that this process has held.

Recognizing that memory ran out, in all the ways in which the libraries raise it.

How often Python looks for garbage: seldom in a short command, as usual in a server.
"""

from __future__ import annotations

import errno
import gc
import re
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")

_CLEAR = Path("/proc/self/clear_refs")


def forget_peak_memory() -> bool:
    """Let the next peak be counted from now on, where Linux can do that.

    Returns:
        Whether it could; elsewhere the peak stays that of the whole process.
    """
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def peak_memory() -> int | None:
    """The largest resident set of this process, in bytes; None where the system does not tell (Windows)."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


# These libraries raise plain RuntimeErrors (torch.OutOfMemoryError is one, too), so that their text is all there is.
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
    """Whether an exception means that the memory of the machine or of a device ran out."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _PHRASES)


_AS_USUAL = gc.get_threshold()

_SELDOM = (10_000, 50, 100)


def collect_seldom() -> None:
    """For commands: nearly all that a short one allocates are the modules that it imports."""
    gc.set_threshold(*_SELDOM)


def collect_as_usual() -> None:
    """For what runs on and on: what only the collector can free must not wait until it is much."""
    gc.set_threshold(*_AS_USUAL)
