"""What distingo changes in the process that it runs in, behind one switch.

A process is left as it is unless `configure_process` was called in it. The command line, the server and the calls that
train do so. Importing distingo, a `distingo.Predictor` and its predictions in another program change nothing: neither
environment, number and place of threads, nor memory allocation, nor what an import gives. A program that wants a
predictor to be as fast as the command calls ``distingo.machine.process.configure_process()`` before torch is imported.

What `configure_process` allows:

- OpenMP's threads keep to a core each, or sleep soon where other programs compute too (`set_thread_environment`; only
  before torch is imported). While a network computes, its thread keeps to a core as well (`bind_this_thread`).
- glibc's malloc keeps the memory that is freed (`prepare_process`).
- torch's compiler, which takes long to import, is replaced by a stand-in while timm is imported and optimizers work
  (`distingo.machine.compiler`).

This module imports without torch.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

_CPU_TIMES = Path("/proc/stat")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OMP_PLACES", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

_BUSY = 0.25
"""Share of the processor time from which on other programs compute here too."""

_SHORT_WAIT = "1000"
"""Rounds that a waiting thread spins before it sleeps; libgomp's own choice is 300,000 and more."""

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
    """Let distingo change this process, so that networks compute faster in it (see the module).

    Calling it again changes nothing more.

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
    """The logical processors that the operating system lets this thread run on, by number."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


_cores_at_start = usable_cores()

_set_here: dict[str, str] = {}
"""Variables that `set_thread_environment` set and `forget_thread_environment` has not removed yet."""


def core_quota(file: Path = _CGROUP_QUOTA) -> int | None:
    """How many cores' worth of time a container is allowed, rounded up; None where nothing limits it.

    Args:
        file: Linux control group (version 2) file: quota and period in microseconds.
    """
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return None


def busy_share(file: Path = _CPU_TIMES, seconds: float = 0.1) -> float:
    """Share of the machine's processor time that is in use now, 0 to 1; 0 where Linux does not report it.

    What runs at a lower priority (`nice`) than this process does not count: it gives way.

    Args:
        file: Linux's count of clock ticks since the start, by use.
        seconds: How long to watch.
    """
    before = _ticks(file)
    if before is None:
        return 0.0
    time.sleep(seconds)
    after = _ticks(file) or before
    idle, total = after[0] - before[0], after[1] - before[1]
    return 1 - idle / total if total else 0.0


def _ticks(file: Path) -> tuple[int, int] | None:
    """Clock ticks that were free for this process, and all of them, of all processors together."""
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

    On an idle machine each thread keeps to a core, and waits for the others without sleeping. Where other programs
    compute too, both would be ruinous: a thread that is suspended keeps all others waiting at full speed (measured: a
    seventh of the images/s). There threads move freely and sleep soon.

    Variables that are set already are left alone. Threads are not placed where there are fewer of them than cores: two
    runs next to each other would share the first cores while others idle.
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

    scikit-learn has an OpenMP of its own, which reads the same variables when it loads and would put the thread that
    loads it on the first core for good, and with it every thread started from there.
    """
    for name, value in _set_here.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _set_here.clear()


def share_cores(processes: int) -> None:
    """Divide the cores among processes of ours that compute at the same time; only before torch is imported.

    OpenMP's threads move freely and sleep soon. Variables that are set already are left alone.

    Args:
        processes: One or more.
    """
    if not any(name in os.environ for name in _THREAD_VARIABLES):
        cores = min(len(_cores_at_start), core_quota() or len(_cores_at_start))
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores // processes))
        os.environ["GOMP_SPINCOUNT"] = _SHORT_WAIT


def free_this_thread() -> None:
    """Let the calling thread run on every core that the process had at its start.

    OpenMP places the thread that loads it, and threads and processes that this one starts inherit the
    single core. A thread that decodes images calls this first.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores_at_start)


def prepare_process() -> frozenset[int]:
    """Apply what needs torch of a process's configuration, once: before anything is computed.

    glibc gives large freed blocks back to the system, and the next training step pays for fresh pages (a factor of 2 on
    large feature maps), so it is told to keep them. OpenMP places its threads when it first computes, and this thread
    with them; this thread gets its cores back, as threads that it starts later would inherit its one core.

    Returns:
        The cores that OpenMP gave this thread; all usable ones where it places no threads, or where
        `configure_process` was not called and nothing is changed.
    """
    return _prepare() if is_configured() else usable_cores()


@cache
def _prepare() -> frozenset[int]:
    if "torch" not in sys.modules:
        set_thread_environment()
    import torch

    _keep_freed_memory()
    torch.ones(1 << 20).add_(1)
    place = usable_cores()
    forget_thread_environment()
    free_this_thread()
    return place


@contextmanager
def bind_this_thread() -> Iterator[None]:
    """Within, this thread keeps to the core that OpenMP gave it, apart from OpenMP's other threads.

    Nothing is changed where `configure_process` was not called.
    """
    place = prepare_process()
    if not is_configured() or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, place)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _keep_freed_memory() -> bool:
    """Have glibc's malloc never use mmap and never trim; returns whether it could be set."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_INT), (_M_TRIM_THRESHOLD, _LARGEST_INT), (_M_MMAP_MAX, 0))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def give_large_blocks_back() -> bool:
    """Undo for large blocks what `prepare_process` sets for glibc's malloc; returns whether it could be set.

    Otherwise a few huge images would hold a server's memory for good.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    settings = ((_M_MMAP_MAX, 65536), (_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 64 << 20), (_M_ARENA_MAX, 4))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def collect_seldom() -> None:
    """Look for garbage seldom: nearly all that a short command allocates are the modules that it imports."""
    gc.set_threshold(*_GARBAGE_SELDOM)


def collect_as_usual() -> None:
    """Look for garbage as often as Python does by default, for what runs for long."""
    gc.set_threshold(*_GARBAGE_DEFAULT)
