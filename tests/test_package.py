from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import distingo

HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "huggingface_hub",
    "sklearn",
    "scipy",
    "pyarrow",
    "PIL",
    "numpy",
    "pandas",
    "rich",
}
ROOT = Path(__file__).resolve().parents[1]


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_public_surface_is_listed() -> None:
    assert distingo.__all__ == sorted(distingo.__all__, key=lambda name: (name[0].islower(), name))
    for name in distingo.__all__:
        assert getattr(distingo, name) is not None


def test_importing_loads_nothing_heavy() -> None:
    assert not modules_after("import distingo") & HEAVY


def test_asking_for_help_loads_nothing_heavy() -> None:
    code = "from distingo.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & HEAVY


@pytest.mark.parametrize("command", ["train", "serve", "predict", "download"])
def test_help_of_a_command_loads_no_library_that_computes(command: str) -> None:
    code = f"from distingo.cli import main\ntry: main(['{command}', '--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & (HEAVY - {"numpy"})


def test_help_answers_at_once() -> None:
    """In processor time, which other programs on the machine change less than the clock's."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "distingo", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(seconds) < 0.3


def test_every_command_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "distingo", "--help"], capture_output=True, text=True, check=True)
    listing = done.stdout.partition("COMMAND\n")[2]
    commands = [line.split()[0] for line in listing.splitlines() if re.match(r" {4}\S", line)]
    assert len(commands) >= 7
    for command in commands:
        assert f"distingo {command}" in readme, f"README.md does not mention `distingo {command}`"
