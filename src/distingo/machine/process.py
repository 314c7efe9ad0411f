"""Where threads may run: to be settled before torch loads, and so without torch."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

_CPU_TIMES = Path("/proc/stat")

_A_PERSONS_CHOICE = ("OMP_NUM_THREADS", "OMP_PLACES", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

_SHARED = 0.25
"""From this share of the processor time on, others are computing here too."""

_SHORT_WAIT = "1000"
"""Rounds that a waiting thread spins before it sleeps; libgomp's own choice is 300,000 and more."""


def usable_cores() -> frozenset[int]:
    """The logical processors that the operating system lets this thread run on, by number."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


_cores_at_start = usable_cores()

_set_here: dict[str, str] = {}
"""What `set_thread_environment` set and `forget_thread_environment` has not taken back yet."""


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
    """How much of the machine's processor time is taken right now, 0 to 1; 0 where Linux does not say.

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
    """Those that we could have had and all of them, of all processors together."""
    try:
        _, *counts = file.read_text(encoding="ascii").splitlines()[0].split()
        ticks = [int(count) for count in counts]
        _user, nice, _system, idle, waiting_for_disks, *_ = ticks
    except (OSError, ValueError, IndexError):
        return None
    yielding = nice if hasattr(os, "nice") and os.nice(0) <= 0 else 0
    return idle + waiting_for_disks + yielding, sum(ticks)


def set_thread_environment() -> None:
    """Tell OpenMP how its threads shall run; has effect only before torch is imported.

    On a machine of our own each thread keeps to a core, and waits for the others without sleeping. Where
    other programs compute too, both would be ruinous: a thread that is put aside keeps all others waiting at
    full speed (measured: a seventh of the images a second). There threads move freely and soon sleep.

    What the person has set is left alone. Threads are not placed where there are fewer of them than cores:
    two runs side by side would then share the first cores while others idle.
    """
    if any(name in os.environ for name in _A_PERSONS_CHOICE):
        return
    quota = core_quota()
    settings: dict[str, str] = {}
    if busy_share() > _SHARED:
        settings["GOMP_SPINCOUNT"] = _SHORT_WAIT
    elif quota is None or quota >= len(_cores_at_start):
        settings = {"OMP_PLACES": "cores"} | ({} if "OMP_PROC_BIND" in os.environ else {"OMP_PROC_BIND": "close"})
    if quota is not None and quota < len(_cores_at_start):
        settings["OMP_NUM_THREADS"] = str(quota)
    os.environ.update(settings)
    _set_here.update(settings)


def forget_thread_environment() -> None:
    """Take back what `set_thread_environment` set; torch keeps to what it has read.

    scikit-learn brings an OpenMP of its own, which reads the same settings when it loads and would put the thread that
    loads it on the first core for good, and with it every thread started from there.
    """
    for name, value in _set_here.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _set_here.clear()


def share_cores(processes: int) -> None:
    """Tell OpenMP that so many processes of ours compute beside each other and other threads; only before torch loads.

    Each gets its part of the cores, its threads move freely and soon sleep. What the person has set is left alone.

    Args:
        processes: One or more.
    """
    if not any(name in os.environ for name in _A_PERSONS_CHOICE):
        cores = min(len(_cores_at_start), core_quota() or len(_cores_at_start))
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores // processes))
        os.environ["GOMP_SPINCOUNT"] = _SHORT_WAIT


def free_this_thread() -> None:
    """Let the calling thread run on every core that the process had at its start.

    OpenMP places the thread that loads it, and threads and processes that this one starts inherit the
    single core. A thread that decodes pictures calls this first.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores_at_start)
