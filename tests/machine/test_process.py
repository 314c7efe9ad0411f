from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import distingo
from distingo.errors import RunError
from distingo.machine import process
from raising import raises
from tiny_datasets import draw_classes

NAMES = (
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "OMP_WAIT_POLICY",
    "GOMP_CPU_AFFINITY",
    "GOMP_SPINCOUNT",
)


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what the test sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setattr(process, "_set_here", {})
    monkeypatch.setattr(process, "_cores_at_start", frozenset(range(4)))
    monkeypatch.setattr(process, "core_quota", lambda: None)
    monkeypatch.setattr(process, "busy_share", lambda: 0.0)


def settings() -> dict[str, str]:
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def test_every_core_gets_a_thread() -> None:
    process.set_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


def test_what_was_set_is_taken_back_and_a_persons_own_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_PROC_BIND", "spread")
    process.set_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"}
    process.forget_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "spread"}


def test_what_a_person_changed_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    process.set_thread_environment()
    monkeypatch.setenv("OMP_PLACES", "sockets")
    process.forget_thread_environment()
    assert settings() == {"OMP_PLACES": "sockets"}


def test_setting_twice_changes_nothing() -> None:
    process.set_thread_environment()
    process.set_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("OMP_NUM_THREADS", "2"), ("OMP_PLACES", "sockets"), ("GOMP_CPU_AFFINITY", "0-3"), ("OMP_WAIT_POLICY", "passive")],
)
def test_a_persons_own_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    process.set_thread_environment()
    assert settings() == {name: value}


def test_a_persons_own_binding_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_PROC_BIND", "false")
    process.set_thread_environment()
    assert settings()["OMP_PROC_BIND"] == "false"


def test_a_containers_quota_limits_the_threads_and_places_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "core_quota", lambda: 2)
    process.set_thread_environment()
    assert settings() == {"OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("content", "cores"), [("max 100000\n", None), ("150000 100000\n", 2), ("1000 100000\n", 1), ("?", None)]
)
def test_quota_of_a_control_group(tmp_path: Path, content: str, cores: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(content)
    assert core_quota_of(file) == cores


def test_no_control_group_is_no_quota(tmp_path: Path) -> None:
    assert core_quota_of(tmp_path / "cpu.max") is None


def test_on_a_busy_machine_threads_move_and_soon_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "busy_share", lambda: 0.6)
    process.set_thread_environment()
    assert settings() == {"GOMP_SPINCOUNT": "1000"}


@pytest.mark.parametrize(
    ("later", "share"),
    [
        ("cpu  10 0 10 100 0 0 0", 0.0),
        ("cpu  40 0 20 140 20 0 0", 0.4),
        ("cpu  40 70 10 100 0 0 0", 0.3),
        ("nonsense", 0.0),
        ("", 0.0),
    ],
)
def test_share_of_the_processor_time_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: str, share: float
) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  10 0 10 100 0 0 0\ncpu0 1 2 3 4 5 6 7\n")
    monkeypatch.setattr(process.time, "sleep", lambda _: file.write_text(later))
    monkeypatch.setattr(process.os, "nice", lambda _: 0)
    assert busy_share_of(file) == pytest.approx(share)


def test_no_count_of_ticks_is_no_load(tmp_path: Path) -> None:
    assert busy_share_of(tmp_path / "stat") == 0


core_quota_of, busy_share_of = process.core_quota, process.busy_share  # before the fixture replaces them


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_thread_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = frozenset(os.sched_getaffinity(0))
    monkeypatch.setattr(process, "_cores_at_start", whole)
    seen: list[set[int]] = []

    def work() -> None:
        os.sched_setaffinity(0, {min(whole)})
        process.free_this_thread()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [set(whole)]


def test_several_processes_share_the_cores_and_none_places_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    process.share_cores(3)
    process.set_thread_environment()
    assert settings() == {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    process.share_cores(2)
    assert settings()["OMP_NUM_THREADS"] == "7"


FRESH_PROCESS = """
import contextlib, json, os, threading
from distingo.machine.process import configure_process
configure_process(threads=False)
os.environ.update(OMP_PROC_BIND="close", OMP_PLACES="cores")
import torch
after_import = sorted(os.sched_getaffinity(0))
from distingo.machine.process import prepare_process
prepare_process()
inherited = []
thread = threading.Thread(target=lambda: inherited.extend(sorted(os.sched_getaffinity(0))))
thread.start(); thread.join()
tasks = []
for task in os.listdir("/proc/self/task"):
    with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
        tasks.append(sorted(os.sched_getaffinity(int(task))))
from distingo.machine.process import bind_this_thread
with bind_this_thread():
    bound = sorted(os.sched_getaffinity(0))
after = sorted(os.sched_getaffinity(0))
told = {"after_import": after_import, "inherited": inherited, "tasks": tasks, "bound": bound, "after": after}
print(json.dumps(told))
"""

GROWTH = """
import resource
from distingo.machine.process import prepare_process
from distingo.machine.process import configure_process
if {prepared}:
    configure_process()
prepare_process()
import torch
def work():
    block = torch.ones(16 << 20)  # 64 MB: above any threshold that glibc chooses by itself
    del block
for _ in range(15):  # until no small leftover shifts the block any more
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
from distingo.machine import process
cores = sorted(process.usable_cores())
process.busy_share = lambda: 0.0
process.configure_process()
from distingo.machine.process import prepare_process
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
@pytest.mark.skipif(process.platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept() -> None:
    kept = int(run(GROWTH.format(prepared=True)))
    handed_back = int(run(GROWTH.format(prepared=False)))
    assert handed_back > 4 * kept


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux says where threads run")
def test_scikit_learns_own_openmp_leaves_the_thread_free() -> None:
    cores, afterwards = json.loads(run(AFTER_SCIKIT_LEARN))
    assert afterwards == cores


@pytest.fixture
def usual() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_a_server_collects_as_python_does(tmp_path: Path, usual: tuple[int, int, int]) -> None:
    from distingo.serving.server import serve_process
    from distingo.serving.settings import NamedRun, ServeSettings

    process.collect_seldom()
    assert gc.get_threshold() == (10_000, 50, 100)
    with socket.socket() as listening, raises(RunError, code="wrong_folder"):
        serve_process([NamedRun("a", tmp_path / "missing")], ServeSettings(), listening, on_ready=lambda: None)
    assert gc.get_threshold() == usual


LEFT_ALONE = """
import gc, json, os, resource, sys
import torch
OF_LIBRARIES = {{"KMP_DUPLICATE_LIB_OK", "TORCHINDUCTOR_CACHE_DIR"}}  # set by scikit-learn and torch's compiler
state = lambda: {{
    "environment": {{name: value for name, value in os.environ.items() if name not in OF_LIBRARIES}},
    "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
    "cores": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
    "garbage": gc.get_threshold(),
    "hooks": [repr(sys.excepthook), repr(sys.unraisablehook)],
}}
def new_pages():
    def work():
        block = torch.ones(16 << 20)
        del block
    for _ in range(5):
        work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before, pages = state(), new_pages()
import distingo
import distingo.machine.process
replaced = []
distingo.machine.process._StandIn = lambda name, **_: replaced.append(name)
from PIL import Image
predictor = distingo.load("{run}")
predictor.predict(Image.new("RGB", (16, 16)))
from distingo.models.architectures import measure_architecture
measure_architecture("mobilenetv2_035", {{}}, 64, 64)
after = state()
changed = [name for name in before if before[name] != after[name]]
print(json.dumps({{"changed": changed, "replaced": replaced, "pages": [pages, new_pages()]}}))
"""


def test_a_predictor_changes_nothing_in_the_process(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    distingo.train(data, tmp_path / "run", model="fashion-cnn", image_size=16, epochs=1)
    told = json.loads(run(LEFT_ALONE.format(run=tmp_path / "run")))
    assert told["changed"] == []
    assert told["replaced"] == []
    pages, pages_afterwards = told["pages"]
    assert pages_afterwards > pages / 2  # malloc gives memory back as before
