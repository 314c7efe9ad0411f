"""An environment with distingo-runtime alone, for tests and benchmarks."""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build_wheel(folder: Path) -> Path:
    """The wheel of distingo-runtime."""
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT / "runtime")]
    subprocess.run(words, check=True, capture_output=True)
    (wheel,) = folder.glob("distingo_runtime-*.whl")
    return wheel


def install_runtime(wheel: Path, folder: Path) -> Path:
    """Make an environment without pip, install the wheel and what it needs; the environment's Python."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    words = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(wheel)]
    subprocess.run(words, check=True, capture_output=True)
    return python


def megabytes(folder: Path) -> float:
    """What the files in a folder take, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def seconds_to_first_prediction(python: Path, folder: Path, image: Path) -> float:
    """From the start of the process to its end, with one image."""
    started = time.perf_counter()
    words = [str(python), "-m", "distingo.runtime", str(folder), str(image)]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    return time.perf_counter() - started
