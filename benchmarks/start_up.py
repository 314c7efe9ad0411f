"""Seconds from `distingo train` to its first batch, first run and second; peak memory of training on 60,000 images.

    python benchmarks/start_up.py

Each run is a process of its own; the first has an empty cache, the second finds it filled.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = ROOT / "benchmarks" / "results" / "start_up.json"

UNTIL_FIRST_BATCH = """
import os, sys
from distingo.__main__ import run
from distingo.machine.process import configure_process
configure_process()
import distingo.training.loop as loop
prepare = loop._prepare
def first(*words):
    batch = prepare(*words)
    os._exit(42)
loop._prepare = first
run()
"""


def seconds_to_first_batch(data: Path, model: str, cache: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", str(data), "-o", f"{folder}/run", "--model", model, "--cache", str(cache)]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", UNTIL_FIRST_BATCH, *words], check=False, capture_output=True)
        seconds = time.perf_counter() - started
        assert done.returncode == 42, done.stderr.decode()
        return seconds


def peak_memory_mib(data: Path) -> float:
    """The largest resident set of one epoch of fashion-cnn with its validation, baselines and evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", str(data), "-o", f"{folder}/run", "--model", "fashion-cnn", "--epochs", "1"]
        words += ["--batch-size", "128", "--cache", f"{folder}/cache"]
        subprocess.run([sys.executable, "-m", "distingo", *words], check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    results: dict[str, object] = {}
    for name, model in (("fashion-mnist", "fashion-cnn"), ("ball-sports", "sports-cnn"), ("aerial", "small-cnn")):
        first, second = [], []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as cache:
                first.append(seconds_to_first_batch(DATA / name, model, Path(cache)))
                second.append(seconds_to_first_batch(DATA / name, model, Path(cache)))
        results[name] = {"first": statistics.median(first), "second": statistics.median(second)}
        print(f"{name}: {statistics.median(first):.1f} s to the first batch, again {statistics.median(second):.1f} s")
    results["peak_memory_mib"] = peak_memory_mib(DATA / "fashion-mnist")
    print(f"peak memory of training on Fashion-MNIST's 60,000 pictures: {results['peak_memory_mib']:.0f} MiB")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
