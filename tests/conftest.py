"""Fixtures shared by all tests: real data where it can be had, and caches that never touch a person's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "distingo", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("distingo")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, or a skip that says what is missing."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("DISTINGO_TEST_DATA", str(default))).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set DISTINGO_TEST_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def short_speed_measurements() -> Iterator[None]:
    """Hundreds of tests train a model; none but that of the measurement needs its two seconds."""
    from distingo.runs import evaluation as run_cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_cost, "MEASURED_SECONDS", 0.05)
        yield


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Really trained runs by model name, on the same images; a test that changes one copies it first."""
    from tiny_runs import train_tiny_runs

    return train_tiny_runs(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_label_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same with several labels per image."""
    from tiny_runs import train_tiny_label_runs

    return train_tiny_label_runs(tmp_path_factory.mktemp("tiny labels"))


@pytest.fixture(scope="session")
def tiny_network_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks for one label (color) and for several (gray), with their data next to them."""
    from tiny_runs import train_tiny_networks

    return train_tiny_networks(tmp_path_factory.mktemp("tiny networks"))


@pytest.fixture(scope="session")
def tiny_exports(tiny_network_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same, exported as ONNX."""
    import distingo

    folder = tmp_path_factory.mktemp("tiny exports")
    return {name: distingo.export(run, folder / name).folder for name, run in tiny_network_runs.items()}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, or a skip that says what is missing; its driver keeps asyncio from other tests while it runs."""
    from browsing import running_browser

    with running_browser() as started:
        yield started


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a cache of its own, so that none profits from another's work."""
    monkeypatch.setenv("DISTINGO_CACHE", str(tmp_path / "distingo-cache"))
