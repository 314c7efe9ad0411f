"""The changes that distingo makes to its process, behind one switch.

A process is unchanged unless `configure_process` is called in it, as the command line, the server and training do.
Importing distingo and predicting with a `distingo.Predictor` in another program change nothing: not the environment,
the number and affinity of threads, memory allocation or imports. To make a predictor as fast as the command, call
``distingo.machine.process.configure_process()`` before torch is imported.

`configure_process` enables:

- OpenMP's threads are bound to one core each, or sleep early if other programs use the CPU (`set_thread_environment`;
  only before torch is imported). A thread that runs a network is bound to a core as well (`bind_this_thread`).
- glibc's malloc keeps freed memory (`prepare_process`).
- torch's compiler, whose import takes longer than all other imports of a command, is replaced by a stand-in while timm
  is imported and optimizers work (`compiler_on_demand`). torchvision imports it for a function that is only called on
  Apple processors, timm to exclude a method from compilation, and torch to mark its optimizers and fake tensors. The
  stand-in provides what these need; any other attribute access imports the real compiler.

This module imports without torch.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

_CPU_TIMES = Path("/proc/stat")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OMP_PLACES", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

_BUSY = 0.25
"""Fraction of CPU time from which other programs are considered to use the CPU."""

_SHORT_WAIT = "1000"
"""Number of spins before a waiting thread sleeps; libgomp's default is 300,000 or more."""

# glibc's mallopt(3) parameters, malloc.h
_M_TRIM_THRESHOLD = -1

_M_MMAP_THRESHOLD = -3

_M_MMAP_MAX = -4

_M_ARENA_MAX = -8

_LARGEST_INT = 2**31 - 1

_GARBAGE_DEFAULT = gc.get_threshold()

_GARBAGE_SELDOM = (10_000, 50, 100)

_configured = threading.Event()


def configure_process(*, threads: bool = True) -> None:
    """Allow distingo to change this process so that networks run faster (see the module's documentation).

    Further calls have no effect.

    Args:
        threads: Whether to set how OpenMP's threads run, which takes 0.1 s. It has no effect once torch is imported.
    """
    _configured.set()
    if threads and "torch" not in sys.modules:
        set_thread_environment()


def is_configured() -> bool:
    """Whether `configure_process` was called in this process."""
    return _configured.is_set()


def usable_cores() -> frozenset[int]:
    """Return the numbers of the logical CPUs that this thread may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


_cores_at_start = usable_cores()

_set_here: dict[str, str] = {}
"""Variables that `set_thread_environment` set and `forget_thread_environment` has not removed yet."""


def core_quota(file: Path = _CGROUP_QUOTA) -> int | None:
    """Return a container's CPU quota in cores, rounded up, or None if there is no limit.

    Args:
        file: Linux control group (version 2) file: quota and period in microseconds.
    """
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return None


def busy_share(file: Path = _CPU_TIMES, seconds: float = 0.1) -> float:
    """Measure the fraction of the machine's CPU time in use, from 0 to 1, or 0 if Linux does not report it.

    Processes of lower priority (`nice`) than this one are not counted.

    Args:
        file: Linux file of clock ticks since boot, by use.
        seconds: Duration of the measurement.
    """
    before = _ticks(file)
    if before is None:
        return 0.0
    time.sleep(seconds)
    after = _ticks(file) or before
    idle, total = after[0] - before[0], after[1] - before[1]
    return 1 - idle / total if total else 0.0


def _ticks(file: Path) -> tuple[int, int] | None:
    """Return the clock ticks that were available to this process and the total, summed over all CPUs."""
    try:
        _, *counts = file.read_text(encoding="ascii").splitlines()[0].split()
        ticks = [int(count) for count in counts]
        _user, nice, _system, idle, waiting_for_disks, *_ = ticks
    except (OSError, ValueError, IndexError):
        return None
    yielding = nice if hasattr(os, "nice") and os.nice(0) <= 0 else 0
    return idle + waiting_for_disks + yielding, sum(ticks)


def set_thread_environment() -> None:
    """Set how OpenMP's threads run; it has effect only before torch is imported.

    On an idle machine, each thread is bound to a core and waits without sleeping. If other programs use the CPU, both
    are
    harmful: all threads busy-wait for a suspended one (measured: a seventh of the images/s). In that case threads are
        not
    bound and sleep early.

    Variables that are already set are not changed. Threads are not bound if there are fewer of them than cores, as two
    parallel runs would share the first cores while others are idle.
    """
    if any(name in os.environ for name in _THREAD_VARIABLES):
        return
    quota = core_quota()
    settings: dict[str, str] = {}
    if busy_share() > _BUSY:
        settings["GOMP_SPINCOUNT"] = _SHORT_WAIT
    elif quota is None or quota >= len(_cores_at_start):
        settings = {"OMP_PLACES": "cores"} | ({} if "OMP_PROC_BIND" in os.environ else {"OMP_PROC_BIND": "close"})
    if quota is not None and quota < len(_cores_at_start):
        settings["OMP_NUM_THREADS"] = str(quota)
    os.environ.update(settings)
    _set_here.update(settings)


def forget_thread_environment() -> None:
    """Remove the variables that `set_thread_environment` set; torch has read them.

    scikit-learn has its own OpenMP library, which reads the same variables when it loads. It would bind the loading
    thread,
    and every thread started from it, to the first core permanently.
    """
    for name, value in _set_here.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _set_here.clear()


def share_cores(processes: int) -> None:
    """Divide the cores among parallel distingo processes; call this before torch is imported.

    OpenMP's threads are not bound and sleep early. Variables that are already set are not changed.

    Args:
        processes: Number of processes, at least 1.
    """
    if not any(name in os.environ for name in _THREAD_VARIABLES):
        cores = min(len(_cores_at_start), core_quota() or len(_cores_at_start))
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores // processes))
        os.environ["GOMP_SPINCOUNT"] = _SHORT_WAIT


def free_this_thread() -> None:
    """Let the calling thread run on every core that the process had at its start.

    OpenMP binds the thread that loads it to a core, and threads and processes started from it inherit this. Threads
    that decode images therefore call this function first.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores_at_start)


def prepare_process() -> frozenset[int]:
    """Apply the part of a process's configuration that needs torch, once, before anything is computed.

    glibc is configured to keep large freed blocks; otherwise each training step allocates fresh pages (a factor of 2 on
    large feature maps). OpenMP binds its threads, including this one, when it first computes; this thread is then
    released again, as threads that it starts later would inherit its single core.

    Returns:
        The cores that OpenMP bound this thread to; all usable cores if it does not bind threads or if
        `configure_process` was not called.
    """
    return _prepare() if is_configured() else usable_cores()


@cache
def _prepare() -> frozenset[int]:
    if "torch" not in sys.modules:
        set_thread_environment()
    import torch

    _keep_freed_memory()
    torch.ones(1 << 20).add_(1)
    bound_cores = usable_cores()
    forget_thread_environment()
    free_this_thread()
    return bound_cores


@contextmanager
def bind_this_thread() -> Iterator[None]:
    """Context manager that binds this thread to the core that OpenMP assigned to it.

    It has no effect if `configure_process` was not called.
    """
    core = prepare_process()
    if not is_configured() or not hasattr(os, "sched_setaffinity"):
        yield
        return
    previous = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, previous)


def _keep_freed_memory() -> bool:
    """Make glibc's malloc never use mmap and never trim; return whether this was possible."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_INT), (_M_TRIM_THRESHOLD, _LARGEST_INT), (_M_MMAP_MAX, 0))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def release_large_blocks() -> bool:
    """Make glibc's malloc release large blocks again after `prepare_process`; return whether this was possible.

    Otherwise a few huge images would occupy a server's memory permanently.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    settings = ((_M_MMAP_MAX, 65536), (_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 64 << 20), (_M_ARENA_MAX, 4))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def collect_seldom() -> None:
    """Run the garbage collector rarely, as short commands mostly allocate the modules that they import."""
    gc.set_threshold(*_GARBAGE_SELDOM)


def collect_as_usual() -> None:
    """Restore Python's default garbage collection, for long-running commands."""
    gc.set_threshold(*_GARBAGE_DEFAULT)


_COMPILER = "torch._dynamo"

_TOOLS = f"{_COMPILER}.utils"

_DRAWING = frozenset({"normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_"})
"""Weight initializers, of `torch.nn.init` and of tensors, that return the tensor that they fill."""


@contextmanager
def compiler_on_demand() -> Iterator[None]:
    """Context manager in which modules that only refer to the compiler do not import it.

    It has no effect if the compiler is already imported or the process was not configured (`distingo.machine.process`).
    """
    if _COMPILER in sys.modules or not is_configured():
        yield
        return
    sys.modules[_COMPILER] = _StandIn(_COMPILER, disable=_disable, graph_break=_nothing)
    sys.modules[_TOOLS] = _StandIn(_TOOLS, is_compile_supported=_is_compile_supported)
    try:
        yield
    finally:
        _forget_stand_ins()


@contextmanager
def without_values() -> Iterator[None]:
    """Context manager in which new tensors have a shape, but no memory and no values."""
    import torch

    with torch.device("meta"), without_fresh_weights(), compiler_on_demand():
        yield


def without_fresh_weights() -> AbstractContextManager[Any]:
    """Context manager in which weights stay uninitialized, which saves time and draws no random numbers."""
    from torch.overrides import TorchFunctionMode

    class SkipInitialization(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(function, "__name__", "") in _DRAWING:
                return args[0] if args else kwargs["tensor"]
            return function(*args, **(kwargs or {}))

    return SkipInitialization()


class _StandIn(ModuleType):
    """Stand-in module that replaces itself by the real module on access to any other attribute."""

    def __init__(self, name: str, **provided: Callable[..., Any]) -> None:
        super().__init__(name)
        vars(self).update(provided)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _forget_stand_ins()
        return getattr(importlib.import_module(self.__name__), name)


def _is_compile_supported(device_type: str) -> bool:
    return bool(importlib.import_module(_TOOLS).is_compile_supported(device_type))


def _disable(function: Callable[..., Any], *options: Any, **named_options: Any) -> Callable[..., Any]:
    """Replace `torch._dynamo.disable`, which has no effect unless the compiler is imported."""

    @functools.wraps(function)
    def uncompiled(*args: Any, **named: Any) -> Any:
        compiler = sys.modules.get(_COMPILER)
        if compiler is None or isinstance(compiler, _StandIn):
            return function(*args, **named)
        return compiler.disable(function, *options, **named_options)(*args, **named)

    return uncompiled


def _nothing(*_: Any, **__: Any) -> None:
    """Replace `torch._dynamo.graph_break`, which has no effect unless the compiler is imported."""


def _forget_stand_ins() -> None:
    for name in (_COMPILER, _TOOLS):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
