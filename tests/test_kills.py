"""Every long command, killed at random moments and given again (``benchmarks/kills.py`` has the rules).

``DISTINGO_KILLS=20 pytest tests/test_kills.py`` kills each of them twenty times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("DISTINGO_KILLS", "2"))
COMMANDS = {
    *("train", "crossval", "tune", "learning-curve", "export", "predict", "review", "download archives", "cache"),
}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_killed_command_goes_on_with_the_same_words(tmp_path: Path) -> None:
    program = Path(__file__).resolve().parents[1] / "benchmarks" / "kills.py"
    table = tmp_path / "kills.json"
    call = [sys.executable, str(program), "--moments", str(KILLS), "--json", str(table)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert table.is_file(), done.stderr
    found = {row["name"]: row for row in json.loads(table.read_text("utf-8"))}
    assert {name: row["faults"] for name, row in found.items()} == {name: [] for name in COMMANDS}
    assert all(row["kills"] == KILLS for row in found.values())
    assert done.returncode == 0, done.stderr
