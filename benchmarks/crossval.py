"""Seconds of ``distingo crossval`` as a process: ``python benchmarks/crossval.py``.

Five folds over the 2,100 images of `aerial`, heads on frozen MobileNetV2, baselines and the page included; the cache
is warm (a first run fills it). Wanted: under 20 s. Results: benchmarks/results/crossval.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "crossval.json"
GOAL = 20.0


def run(data: Path, output: Path) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    model = f"local-dir:{data / 'weights' / 'mobilenetv2_100.tf_in1k'}"
    words = [sys.executable, "-m", "distingo", "crossval", str(data / "aerial"), "-o", str(output), "--model", model]
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DISTINGO_TEST_DATA", "../shared/data")))
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    seconds = []
    with tempfile.TemporaryDirectory() as scratch:
        run(given.data, Path(scratch) / "warming")
        for number in range(given.times):
            seconds.append(run(given.data, Path(scratch) / str(number)))
            load = os.getloadavg()[0]
            print(f"{seconds[-1][0]:.1f} s, {seconds[-1][1]:.1f} s of processor time, load {load:.1f}", flush=True)
        found = json.loads((Path(scratch) / "0" / "crossval.json").read_text(encoding="utf-8"))
    wall = sorted(seconds)[len(seconds) // 2]
    content = {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "pictures": found["n"],
        "folds": len(found["folds"]),
        "seconds": round(wall[0], 2),
        "processor_seconds": round(wall[1], 2),
        "goal": GOAL,
        "accuracy": found["means"]["accuracy"],
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
