"""`distingo predict` over 20,000 images: images a second next to the machine's limit, and peak memory.

The images are those of the given data sets, again and again under other names (hard links, or copies where the file
system has none): prediction looks at names one by one and remembers no content, so each is read, decoded and run
through the network anew. The limit is measured in the same run: the engine alone on decoded images, and decoding
alone in as many threads; both need the same cores, so that together they reach at most
1 / (1 / engine + 1 / decoding).

    python benchmarks/bulk_predict.py
    python benchmarks/bulk_predict.py --images 2000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from turns import processor

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
WEIGHTS = DATA / "weights" / "mobilenetv2_100.tf_in1k"
RESULTS = ROOT / "benchmarks" / "results" / "bulk_predict.json"
SETS = ("ball-sports", "aerial", "two-sports", "messy")
LARGEST_MEMORY = 1.5 * 2**30
BATCH = 64


def make_images(folder: Path, count: int) -> None:
    """So many files out of the given sets, one set's image next to another's."""
    found = sorted(path for name in SETS for path in (DATA / name).rglob("*.jp*g") if path.is_file())
    np.random.default_rng(0).shuffle(found)  # type: ignore[arg-type]
    folder.mkdir()
    for at, path in enumerate(islice(cycle(found), count)):
        target = folder / f"picture-{at:06}.jpg"
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)


def predict(run: Path, images: Path, output: Path, *options: str) -> dict[str, float]:
    """One whole process of the command line: its seconds and the largest resident set."""
    words = [sys.executable, "-m", "distingo", "predict", str(run), str(images), "-o", str(output), *options]
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    assert os.waitstatus_to_exitcode(status) in {0, 3}, status
    return {"seconds": seconds, "peak_memory_bytes": usage.ru_maxrss * 1024}


def measure_steady(run: Path, images: Path, output: Path, rounds: int) -> None:
    """In a process of its own: the stream without its first thousand, and what limits it, in turns."""
    from distingo.machine.process import configure_process

    configure_process()
    import distingo
    from distingo.datasets.cache.store import Cache
    from distingo.datasets.options import count_processors
    from distingo.prediction.classifier import ModelEngine
    from distingo.prediction.networks import map_in_order

    stream = distingo.predict_stream(run, [images], topk=1, output=output)
    times = []
    for at, _ in enumerate(stream):
        if at % 1000 == 999:
            times.append(time.perf_counter())
    predictor = distingo.load(run)
    engine = ModelEngine(predictor.model, device=predictor.device, cache=Cache())
    files = sorted(images.iterdir())[:2048]
    rows = np.stack([row for path in files[:256] if (row := _row(predictor, path)) is not None])
    engine.outputs(rows[:BATCH])
    rates: dict[str, list[float]] = {"engine": [], "decoding": [], "stream": []}
    for _ in range(rounds):
        started = time.perf_counter()
        for start in range(0, 4 * len(rows), BATCH):
            engine.outputs(rows[start % len(rows) : start % len(rows) + BATCH])
        rates["engine"].append(4 * len(rows) / (time.perf_counter() - started))
        started = time.perf_counter()
        looked = map_in_order(
            lambda paths: [_row(predictor, path) for path in paths],
            files,
            chunk=8,
            ahead=2 * BATCH,
            workers=count_processors(),
        )
        rates["decoding"].append(sum(1 for _ in looked) / (time.perf_counter() - started))
        started = time.perf_counter()
        rates["stream"].append(sum(1 for _ in predictor.stream(files, topk=1)) / (time.perf_counter() - started))
    print(
        json.dumps(
            {
                "engine": predictor.engine,
                "precision": predictor.precision,
                "steady_images_per_second": 1000 * (len(times) - 1) / (times[-1] - times[0])
                if len(times) > 1
                else None,
                "rates": rates,
            }
        )
    )


def _row(predictor: Any, path: Path) -> np.ndarray | None:
    from distingo.errors import DistingoError

    try:
        found: np.ndarray = predictor.preprocess(path)
    except DistingoError:
        return None
    return found


def measure(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    os.environ["DISTINGO_CACHE"] = str(folder / "cache")
    run, images, few = folder / "run", folder / "pictures", folder / "few"
    words = ["train", str(DATA / "two-sports"), "-o", str(run), "--model", f"local-dir:{WEIGHTS}"]
    subprocess.run([sys.executable, "-m", "distingo", *words], check=True, capture_output=True)
    make_images(images, count)
    make_images(few, count // 10)
    small = predict(run, few, folder / "few.csv")
    whole = predict(run, images, folder / "out.csv")
    words = ["--steady", str(run), str(images), str(folder / "steady.parquet"), "--rounds", str(rounds)]
    done = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
    steady = json.loads(done.stdout.splitlines()[-1])
    medians = {name: statistics.median(rates) for name, rates in steady["rates"].items()}
    limit = 1 / (1 / medians["engine"] + 1 / medians["decoding"])
    return {
        "pictures": count,
        "whole_process": {**whole, "images_per_second": count / whole["seconds"]},
        "a_tenth_of_them": {**small, "pictures": count // 10},
        "grown_memory_bytes": whole["peak_memory_bytes"] - small["peak_memory_bytes"],
        **steady,
        "median": medians,
        "limit_images_per_second": limit,
        "stream_of_limit": medians["stream"] / limit,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where the pictures are made (default: the system's temporary folder)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--steady", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steady:
        return measure_steady(*map(Path, options.steady), options.rounds)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), options.images, options.rounds)
    whole, memory = found["whole_process"], found["whole_process"]["peak_memory_bytes"] / 2**20
    steady = found["steady_images_per_second"]
    print(
        f"{found['pictures']:,} pictures in {whole['seconds']:.1f} s: {whole['images_per_second']:.0f} images/s in all"
    )
    print(f"steady {steady:.0f} images/s" if steady else "too few pictures for a steady rate")
    print(", ".join(f"{name} {rate:.0f}" for name, rate in found["median"].items()) + " images/s in turns")
    print(f"limit {found['limit_images_per_second']:.0f} images/s, of which {found['stream_of_limit']:.0%} are reached")
    print(f"peak memory {memory:.0f} MiB (goal {LARGEST_MEMORY / 2**20:.0f})")
    print(f"{found['grown_memory_bytes'] / 2**20:+.0f} MiB over a tenth of the pictures")
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        **found,
    }
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
