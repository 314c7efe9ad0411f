"""Where threads may run: to be settled before torch loads, and so without torch."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> frozenset[int]:
    """The logical processors that the operating system lets this thread run on, by number."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


_cores_at_start = usable_cores()


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


def set_thread_environment() -> None:
    """Tell OpenMP to keep each of its threads on a core of its own; has effect only before torch is imported.

    Unplaced threads of small networks are at times several times slower. What the person has set is left
    alone. Threads are not placed where there are fewer of them than cores: two runs side by side would
    then share the first cores while others idle.
    """
    quota = core_quota()
    cores = len(_cores_at_start)
    if quota is not None and quota < cores:
        os.environ.setdefault("OMP_NUM_THREADS", str(quota))
    if "OMP_NUM_THREADS" in os.environ or "OMP_PLACES" in os.environ or "GOMP_CPU_AFFINITY" in os.environ:
        return
    os.environ.setdefault("OMP_PROC_BIND", "close")
    os.environ["OMP_PLACES"] = "cores"


def free_this_thread() -> None:
    """Let the calling thread run on every core that the process had at its start.

    OpenMP places the thread that loads it, and threads and processes that this one starts inherit the
    single core. A thread that decodes pictures calls this first.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores_at_start)
