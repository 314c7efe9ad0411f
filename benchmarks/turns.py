"""Contenders that take turns: each a process of its own that warms up, then works when it is told to.

Whatever else the machine does hits all of them alike, and none disturbs another by computing at the same time.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any


def await_go() -> str:
    """In a contender: the next command; ``stop`` when there is nobody any more who gives turns."""
    return sys.stdin.readline().strip() or "stop"


def say(**facts: Any) -> None:
    """In a contender: tell the one who gives the turns."""
    print(json.dumps(facts), flush=True)


class Contender:
    """A process that takes turns; its first words are facts about itself."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self._next_facts()
        self.rates: list[float] = []

    def take_turn(self) -> None:
        told = self.ask("go")
        self.rates.append(told["images"] / told["seconds"])

    def ask(self, command: str) -> dict[str, Any]:
        self._tell(command)
        return self._next_facts()

    def stop(self) -> None:
        self._tell("stop")
        self.process.wait()

    def _tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def _next_facts(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                facts: dict[str, Any] = json.loads(line)
                return facts
        raise SystemExit(f"a contender ended with exit code {self.process.wait()}; see its words above")


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
