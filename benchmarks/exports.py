"""Every format and precision of an export: size, images a second at batch 1 and 32, agreement with the original.

    python benchmarks/exports.py [--only aerial]

A frozen MobileNetV2 on each of three data sets named by `DISTINGO_TEST_DATA`; agreement and cost on the run's test and
validation images. Rates are medians over rounds in which all exports take turns; where images are resized in the
model, that is part of its time, and `pillow` is what it takes next to the other models. Then an environment with
distingo-runtime alone: its size, and seconds from the start of the process to the first prediction.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import distingo
from distingo.cli.terminal import prepare
from distingo.errors import ExportError
from turns import processor

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
WEIGHTS = DATA / "weights" / "mobilenetv2_100.tf_in1k"
RESULTS = ROOT / "benchmarks" / "results" / "exports.json"
SETS = {"ball-sports": "ball-sports", "aerial": "aerial", "posters": "posters/train.csv"}
EXPORTS = (
    *(("onnx", precision) for precision in ("float32", "half", "int8")),
    *(("openvino", precision) for precision in ("float32", "half", "int8")),
    *(("torch-export", precision) for precision in ("float32", "half")),
)


def export_all(run: Path, folder: Path) -> dict[str, Any]:
    """What each format and precision comes to; a refused one says why."""
    found: dict[str, Any] = {}
    for exported_as, precision in EXPORTS:
        options = {"half": precision == "half", "int8": precision == "int8"}
        name, started = f"{exported_as} {precision}", time.perf_counter()
        try:
            made = distingo.export(run, folder / name.replace(" ", "-"), format=exported_as, **options)
        except ExportError as error:
            found[name] = {"refused": str(error).partition(": ")[2]}
            print(f"  {name:22} refused: {found[name]['refused']}")
            continue
        agreement = made.agreement
        found[name] = {
            "megabytes": made.bytes / 1e6,
            "seconds": time.perf_counter() - started,
            "pictures": agreement.images,
            "same": agreement.share,
            "largest_difference": agreement.largest_difference,
            "score": agreement.score,
            "cost_in_points": 100 * agreement.cost,
        }
        print(
            f"  {name:22} {made.bytes / 1e6:5.1f} MB, same answer {agreement.share:.2%} of {agreement.images:,}, "
            f"difference at most {agreement.largest_difference:.2g}, {100 * agreement.cost:+.2f} points"
        )
    return found


def open_all(folder: Path) -> dict[str, Callable[[np.ndarray], Any]]:
    from distingo.exporting.writing import open_program
    from distingo.runtime.description import read_export
    from distingo.runtime.runtime import open_engine

    opened: dict[str, Callable[[np.ndarray], Any]] = {}
    for place in sorted(folder.iterdir()):
        description = read_export(place)
        name = f"{description.exported_as} {description.precision}"
        is_program = description.exported_as == "torch-export"
        opened[name] = open_program(place, description) if is_program else open_engine(place, description)
    return opened


def measure_rates(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Images a second by name and batch size, on images of 300 x 400 pixels."""
    from PIL import Image

    from distingo.datasets.decoding.rendering import render
    from distingo.runtime.description import read_export

    whole = np.random.default_rng(0).integers(0, 256, (32, 300, 400, 3), dtype=np.uint8)
    whole = np.stack([np.array(Image.fromarray(each).resize((50, 40)).resize((400, 300))) for each in whole])
    descriptions = {f"{each.exported_as} {each.precision}": each for each in map(read_export, folder.iterdir())}
    image_spec = next(iter(descriptions.values())).image_spec
    small = np.stack([render(Image.fromarray(each), image_spec) for each in whole])
    inputs = {name: whole if description.in_graph else small for name, description in descriptions.items()}
    runs = open_all(folder)
    seconds: dict[str, dict[int, list[float]]] = {name: {1: [], 32: []} for name in runs}
    pillow: list[float] = []
    for turn in range(rounds + 1):
        for name, run in runs.items():
            for batch in (1, 32):
                started = time.perf_counter()
                for start in range(0, 32, batch):
                    run(inputs[name][start : start + batch])
                if turn:
                    seconds[name][batch].append(time.perf_counter() - started)
        started = time.perf_counter()
        for each in whole:
            render(Image.fromarray(each), image_spec)
        pillow.append(time.perf_counter() - started)
    rates = {
        name: {f"batch {batch}": 32 / statistics.median(values) for batch, values in found.items()}
        for name, found in seconds.items()
    }
    rates["pillow"] = {"resizing alone": 32 / statistics.median(pillow)}
    for name, found in rates.items():
        print(f"  {name:22} " + ", ".join(f"{batch} {rate:,.0f} images/s" for batch, rate in found.items()))
    return rates


def measure_environment(folder: Path, image: Path) -> dict[str, float]:
    """Of distingo-runtime: megabytes of its environment, and the median seconds from start to first prediction."""
    from runtime_environment import build_wheel, install_runtime, megabytes, seconds_to_first_prediction

    with tempfile.TemporaryDirectory() as place:
        python = install_runtime(build_wheel(Path(place) / "wheel"), Path(place) / "environment")
        seconds = [seconds_to_first_prediction(python, folder, image) for _ in range(10)]
        size = megabytes(Path(place) / "environment")
    print(f"distingo-runtime: {size:.0f} MB, {statistics.median(seconds):.2f} s from start to first prediction")
    return {"megabytes": size, "seconds": statistics.median(seconds), "slowest_seconds": max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=SETS, help="one data set, and nothing is written")
    options = parser.parse_args()
    prepare()
    results: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "data": {},
    }
    for name in [options.only] if options.only else SETS:
        with tempfile.TemporaryDirectory() as place:
            run, exports = Path(place) / "run", Path(place) / "exports"
            distingo.train(DATA / SETS[name], run, model=f"local-dir:{WEIGHTS}")
            print(f"{name}:")
            results["data"][name] = export_all(run, exports)
            if name == (options.only or next(iter(SETS))):
                results["images_per_second"] = measure_rates(exports, options.rounds)
                image = next((DATA / name).rglob("*.jpg"))
                results["runtime"] = measure_environment(exports / "onnx-float32", image)
    if not options.only:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
