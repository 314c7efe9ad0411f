"""Attacks on a real server: another client is answered quickly, and memory stays bounded."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacked_server import attack
from attacks import ATTACKS
from costly_images import large_image
from served_runs import Command, command, wait_until

KEY = "a key that is long enough"
MOST_GROWTH = 500 * 2**20
SECONDS = 2.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="attackers come from 127.0.0.2, memory from /proc"),
]


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Command]:
    with command(f"cnn={tiny_runs['small-cnn']}") as started:
        time.sleep(2)  # the processes that decode have imported all they need
        yield started


@pytest.fixture(scope="module")
def locked(tiny_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(KEY)
    with command(f"cnn={tiny_runs['small-cnn']}", "--api-key-file", keys) as started:
        yield started


def busyness() -> float:
    """How many times longer than alone something takes here now: other programs' part of the processors."""
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < 0.1:
        sum(range(1000))
    return max(1.0, (time.monotonic() - began) / 0.1)


def holds(
    server: Command, name: str, *, address: str = "127.0.0.2", key: str = "", body: bytes | None = None
) -> dict[str, int]:
    lines = len(server.lines)
    seen = attack(server.url, server.process.pid, name, SECONDS, address=address, key=key, body=body)
    assert set(seen.statuses) == {"200"}, seen.statuses
    assert seen.p99 < 1.0 * busyness(), seen
    assert seen.growth < MOST_GROWTH, seen.growth
    assert len(server.lines) - lines <= 5, server.lines[lines : lines + 10]
    return seen.struck


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "wrong_keys"])
def test_others_are_answered_and_memory_is_bounded(server: Command, name: str) -> None:
    struck = holds(server, name)
    assert sum(struck.values()) > 0
    if name == "two_hosts":
        assert set(struck) == {"400"}


@pytest.mark.parametrize("name", ["held_connections", "stalled_uploads"])
def test_a_client_of_the_same_address_is_answered_too(server: Command, name: str) -> None:
    holds(server, name, address="127.0.0.1")


@pytest.mark.parametrize(
    "name", ["tile_bombs", "float_tiffs", "scan_bombs", "row_bombs", "lying_images", "many_images"]
)
def test_large_images_of_others_are_decoded_meanwhile(server: Command, name: str) -> None:
    struck = holds(server, name, body=large_image("PNG", 2100))
    assert sum(struck.values()) > 0


def test_keys_cannot_be_guessed_quickly(locked: Command) -> None:
    struck = holds(locked, "wrong_keys", key=KEY)
    assert 30 <= struck.pop("401") <= 33 and struck.pop("429") > 10 and set(struck) <= {"ConnectionResetError"}


def test_the_server_is_as_before_afterwards(server: Command) -> None:
    wait_until(lambda: len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) < 100, 15)
    assert server.stop() == 0
