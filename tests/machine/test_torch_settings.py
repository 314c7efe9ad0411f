from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distingo.machine import device as machine

FRESH_PROCESS = """
import contextlib, json, os, threading
import distingo.machine.threads
os.environ.update(OMP_PROC_BIND="close", OMP_PLACES="cores")
import torch
after_import = sorted(os.sched_getaffinity(0))
from distingo.machine.device import prepare_process
prepare_process()
inherited = []
thread = threading.Thread(target=lambda: inherited.extend(sorted(os.sched_getaffinity(0))))
thread.start(); thread.join()
tasks = []
for task in os.listdir("/proc/self/task"):
    with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
        tasks.append(sorted(os.sched_getaffinity(int(task))))
from distingo.machine.device import bind_this_thread
with bind_this_thread():
    bound = sorted(os.sched_getaffinity(0))
after = sorted(os.sched_getaffinity(0))
told = {"after_import": after_import, "inherited": inherited, "tasks": tasks, "bound": bound, "after": after}
print(json.dumps(told))
"""

GROWTH = """
import resource
from distingo.machine.device import prepare_process
if {prepared}:
    prepare_process()
import torch
def work():
    block = torch.ones(16 << 20)  # 64 MB: above any threshold that glibc chooses by itself
    del block
for _ in range(5):  # until no small leftover shifts the block any more
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(code: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    result = subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, check=True
    )
    return result.stdout


AFTER_SCIKIT_LEARN = """
import json, os
from distingo.machine import threads
cores = sorted(threads.usable_cores())
threads.busy_share = lambda: 0.0
threads.set_thread_environment()
from distingo.machine.device import prepare_process
prepare_process()
import numpy
from sklearn.neighbors import NearestNeighbors
NearestNeighbors(n_neighbors=2, algorithm="brute").fit(numpy.ones((500, 8))).kneighbors(numpy.ones((500, 8)))
print(json.dumps([cores, sorted(os.sched_getaffinity(0))]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_threads_are_placed_but_later_threads_may_use_every_core() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    told = json.loads(run(FRESH_PROCESS))
    assert len(told["after_import"]) < len(os.sched_getaffinity(0))
    assert told["inherited"] == sorted(os.sched_getaffinity(0))
    assert told["bound"] == told["after_import"]
    assert told["after"] == told["inherited"]
    assert any(len(cores) < len(told["inherited"]) for cores in told["tasks"])


@pytest.mark.slow
@pytest.mark.skipif(machine.platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept() -> None:
    kept = int(run(GROWTH.format(prepared=True)))
    handed_back = int(run(GROWTH.format(prepared=False)))
    assert handed_back > 4 * kept


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "bfloat16_instructions", lambda: "amx_bf16")
    precision, reason = machine.choose_precision("cpu")
    assert precision == "bfloat16"
    assert "amx_bf16" in str(reason)
    monkeypatch.setattr(machine, "bfloat16_instructions", lambda: None)
    precision, reason = machine.choose_precision(torch.device("cpu"))
    assert precision == "float32"
    assert "avx512_bf16" in str(reason)


def test_precision_follows_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert machine.choose_precision("cuda")[0] == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert machine.choose_precision("cuda")[0] == "float32"


def test_other_devices_compute_in_float32() -> None:
    assert machine.choose_precision("mps")[0] == "float32"


def test_flags_are_read_from_linux(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16 amx_bf16\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert machine.linux_flags(cpuinfo) == {"fpu", "avx512_bf16", "amx_bf16"}
    assert machine.linux_flags(tmp_path / "none") == frozenset()


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="needs Linux")
def test_torch_and_linux_agree_on_bfloat16() -> None:
    linux = machine.linux_flags(Path("/proc/cpuinfo"))
    known = machine._capabilities()
    for flag in ("amx_bf16", "avx512_bf16"):
        assert (flag in linux) == (flag in known)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux says where threads run")
def test_scikit_learns_own_openmp_leaves_the_thread_free() -> None:
    cores, afterwards = json.loads(run(AFTER_SCIKIT_LEARN))
    assert afterwards == cores
