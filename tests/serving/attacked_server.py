"""A server under attack, watched: what another client's requests take meanwhile, and how much memory there is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attacks import ATTACKER, HEAD
from costly_images import image_bytes

CLIENT = "127.0.0.1"


@dataclass
class Observed:
    """What one attack came to.

    Attributes:
        struck: What the attacker counted.
        latencies: Seconds of each of another client's requests; infinite where it was not answered with 200.
        base: Bytes of all the server's processes before.
        peak: The same at its greatest meanwhile.
        statuses: Of the other client's answers.
    """

    struck: dict[str, int]
    latencies: list[float]
    base: int
    peak: int
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def p99(self) -> float:
        ordered = sorted(self.latencies) or [float("inf")]
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]

    @property
    def growth(self) -> int:
        return self.peak - self.base


def attack(
    url: str,
    pid: int,
    name: str,
    seconds: float,
    *,
    address: str = ATTACKER,
    key: str = "",
    body: bytes | None = None,
) -> Observed:
    """Attack a server and watch it.

    Args:
        url: Its address.
        pid: Its process.
        name: Of the attack.
        seconds: How long.
        address: The attacker's.
        key: The other client's.
        body: Of the other client's requests, a small photo if None.
    """
    port = int(url.rpartition(":")[2])
    for _ in range(5):
        ask(port, key, body)
    base = resident(pid)
    seen = Observed({}, [], base, base)
    script = Path(__file__).with_name("attacks.py")
    # Gives way to the server: from another machine it would take none of its processors.
    words = ["nice", "-n", "15", sys.executable, str(script), name, str(port), str(seconds), address]
    attacker = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watch = threading.Thread(target=_watch_memory, args=(pid, attacker, seen))
    watch.start()
    try:
        assert attacker.stdout is not None and attacker.stdout.readline() == "striking\n"
        while attacker.poll() is None:
            began = time.monotonic()
            status = ask(port, key, body)
            seen.statuses[status] += 1
            seen.latencies.append(time.monotonic() - began if status == "200" else float("inf"))
            time.sleep(0.01)
    finally:
        attacker.kill()
        watch.join()
    out = (attacker.stdout.read() if attacker.stdout else "").strip()
    seen.struck = json.loads(out) if out else {}
    return seen


def ask(port: int, key: str = "", body: bytes | None = None) -> str:
    """One ordinary request on a new connection: its status, or the error that it came to."""
    body = _SMALL if body is None else body
    head = HEAD % b"application/octet-stream" + (b"X-API-Key: %s\r\n" % key.encode() if key else b"")
    head += b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    try:
        with socket.create_connection((CLIENT, port), timeout=10, source_address=(CLIENT, 0)) as connection:
            connection.sendall(head + body)
            return connection.recv(65536)[9:12].decode("ascii", "replace") or "closed"
    except OSError as error:
        return type(error).__name__


def resident(pid: int) -> int:
    """Bytes that a process and all below it have in memory; what they share counts for each."""
    total, below = 0, [pid]
    while below:
        each = Path(f"/proc/{below.pop()}")
        with contextlib.suppress(OSError):
            total += int((each / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in (each / "task").iterdir():
                below += map(int, (task / "children").read_text().split())
    return total


def _watch_memory(pid: int, attacker: subprocess.Popen[str], seen: Observed) -> None:
    while attacker.poll() is None:
        seen.peak = max(seen.peak, resident(pid))
        time.sleep(0.15)


_SMALL = image_bytes("JPEG")


def describe(name: str, seen: Observed) -> dict[str, Any]:
    """One line of the table."""
    return {
        "attack": name,
        "struck": seen.struck,
        "other_client_requests": len(seen.latencies),
        "other_client_statuses": dict(seen.statuses),
        "p99_seconds": seen.p99,
        "growth_mib": seen.growth / 2**20,
        "cores": os.cpu_count(),
    }
