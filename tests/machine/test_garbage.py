from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from distingo.errors import RunError
from distingo.machine import memory as garbage
from raising import raises


@pytest.fixture(autouse=True)
def usual() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_a_server_collects_as_python_does(tmp_path: Path, usual: tuple[int, int, int]) -> None:
    from distingo.serving.server import serve_process
    from distingo.serving.settings import NamedRun, ServeSettings

    garbage.collect_seldom()
    assert gc.get_threshold() == (10_000, 50, 100)
    with socket.socket() as listening, raises(RunError, code="wrong_folder"):
        serve_process([NamedRun("a", tmp_path / "missing")], ServeSettings(), listening, on_ready=lambda: None)
    assert gc.get_threshold() == usual
