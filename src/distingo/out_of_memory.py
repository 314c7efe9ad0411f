"""Recognizing that memory ran out, in all the ways in which the libraries raise it."""

from __future__ import annotations

import errno

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
