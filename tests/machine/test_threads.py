from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from distingo.machine import process as threads

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
    monkeypatch.setattr(threads, "_set_here", {})
    monkeypatch.setattr(threads, "_cores_at_start", frozenset(range(4)))
    monkeypatch.setattr(threads, "core_quota", lambda: None)
    monkeypatch.setattr(threads, "busy_share", lambda: 0.0)


def settings() -> dict[str, str]:
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def test_every_core_gets_a_thread() -> None:
    threads.set_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


def test_what_was_set_is_taken_back_and_a_persons_own_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_PROC_BIND", "spread")
    threads.set_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"}
    threads.forget_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "spread"}


def test_what_a_person_changed_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    threads.set_thread_environment()
    monkeypatch.setenv("OMP_PLACES", "sockets")
    threads.forget_thread_environment()
    assert settings() == {"OMP_PLACES": "sockets"}


def test_setting_twice_changes_nothing() -> None:
    threads.set_thread_environment()
    threads.set_thread_environment()
    assert settings() == {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("OMP_NUM_THREADS", "2"), ("OMP_PLACES", "sockets"), ("GOMP_CPU_AFFINITY", "0-3"), ("OMP_WAIT_POLICY", "passive")],
)
def test_a_persons_own_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    threads.set_thread_environment()
    assert settings() == {name: value}


def test_a_persons_own_binding_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_PROC_BIND", "false")
    threads.set_thread_environment()
    assert settings()["OMP_PROC_BIND"] == "false"


def test_a_containers_quota_limits_the_threads_and_places_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "core_quota", lambda: 2)
    threads.set_thread_environment()
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
    monkeypatch.setattr(threads, "busy_share", lambda: 0.6)
    threads.set_thread_environment()
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
    monkeypatch.setattr(threads.time, "sleep", lambda _: file.write_text(later))
    monkeypatch.setattr(threads.os, "nice", lambda _: 0)
    assert busy_share_of(file) == pytest.approx(share)


def test_no_count_of_ticks_is_no_load(tmp_path: Path) -> None:
    assert busy_share_of(tmp_path / "stat") == 0


core_quota_of, busy_share_of = threads.core_quota, threads.busy_share  # before the fixture replaces them


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_thread_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = frozenset(os.sched_getaffinity(0))
    monkeypatch.setattr(threads, "_cores_at_start", whole)
    seen: list[set[int]] = []

    def work() -> None:
        os.sched_setaffinity(0, {min(whole)})
        threads.free_this_thread()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [set(whole)]


def test_several_processes_share_the_cores_and_none_places_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads.share_cores(3)
    threads.set_thread_environment()
    assert settings() == {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    threads.share_cores(2)
    assert settings()["OMP_NUM_THREADS"] == "7"
