from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distingo.machine import memory as module
from distingo.machine.memory import free_memory, total_memory

CPU = torch.device("cpu")
KIB = 1024


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  600 kB\n", encoding="ascii")
    monkeypatch.setattr(module, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(module, "_CGROUP", tmp_path)
    monkeypatch.setattr(module, "_address_space", lambda: None)
    return tmp_path


def limit(machine: Path, most: str, used: int) -> None:
    (machine / "memory.max").write_text(most, encoding="ascii")
    (machine / "memory.current").write_text(str(used), encoding="ascii")


def test_the_system_says_what_is_available(machine: Path) -> None:
    assert (free_memory(CPU), total_memory(CPU)) == (600 * KIB, 1000 * KIB)


def test_a_container_may_have_less(machine: Path) -> None:
    limit(machine, str(500 * KIB), 300 * KIB)
    assert (free_memory(CPU), total_memory(CPU)) == (200 * KIB, 500 * KIB)


def test_a_container_without_a_limit_has_all(machine: Path) -> None:
    limit(machine, "max\n", 300 * KIB)
    assert (free_memory(CPU), total_memory(CPU)) == (600 * KIB, 1000 * KIB)


def test_a_full_container_has_nothing(machine: Path) -> None:
    limit(machine, str(500 * KIB), 501 * KIB)
    assert free_memory(CPU) == 0


def test_a_limit_of_the_address_space_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_address_space", lambda: 10 * KIB)
    assert (free_memory(CPU), total_memory(CPU)) == (0, 10 * KIB)  # this process has more than that


def test_where_nothing_is_said_nothing_is_known(machine: Path) -> None:
    (machine / "meminfo").unlink()
    assert (free_memory(CPU), total_memory(CPU)) == (None, None)


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_an_accelerator_gives_back_what_it_keeps_before_it_is_asked(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    backend = getattr(torch, kind)
    calls: list[object] = []
    monkeypatch.setattr(backend, "empty_cache", lambda: calls.append("given back"))
    monkeypatch.setattr(backend, "mem_get_info", lambda device: (calls.append(device), (3, 8))[1], raising=False)
    device = torch.device(kind, 1)
    assert free_memory(device) == 3
    assert calls == ["given back", device]
    assert total_memory(device) == 8


def test_apples_processor_says_what_it_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 100, raising=False)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 30)
    device = torch.device("mps")
    assert (free_memory(device), total_memory(device)) == (70, 100)


def test_this_machine_has_memory() -> None:
    free, total = free_memory(CPU), total_memory(CPU)
    assert free is None or total is None or 0 < free <= total
