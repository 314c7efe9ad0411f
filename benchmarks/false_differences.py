"""How often `distingo compare` calls two trainings of one recipe different, and how often it sees true differences.

A small network is trained with five seeds on each of five splits of two real data sets. Of every split, ten pairs of
trainings are compared (100 in all), as models and as recipes, and all ten ways of setting two of the five trainings
against the other three as if they were two recipes (100 in all): there luck in training is part of the test. True
differences: descriptors against a frozen backbone and against the small network, on every split.

    python benchmarks/false_differences.py [--splits 5] [--seeds 5] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import platform
import statistics
import struct
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import distingo
from distingo.evaluation.compare_runs import compare_runs
from distingo.metrics.paired import LEVEL, recipe_difference
from distingo.runs.contents import read_run
from turns import processor

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = ROOT / "benchmarks" / "results" / "false_differences.json"
GOAL = 0.05
SMALL = {"model": "fashion-cnn", "image_size": 16, "epochs": 10, "batch_size": 64}
FROZEN = {"model": f"local-dir:{DATA / 'weights' / 'mobilenetv2_100.tf_in1k'}"}
FASHION_SIZES = {"train": 2_500, "t10k": 1_000}


def draw_fashion(folder: Path, number: int) -> Path:
    """Some images of Fashion-MNIST, others for each number, as IDX files."""
    folder.mkdir()
    for side, count in FASHION_SIZES.items():
        chosen = None
        for kind in ("images-idx3", "labels-idx1"):
            name = f"{side}-{kind}-ubyte.gz"
            content = gzip.decompress((DATA / "fashion-mnist" / name).read_bytes())
            shape = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
            rows = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)
            if chosen is None:
                chosen = np.random.default_rng(number).permutation(len(rows))[:count]
            head = content[:4] + struct.pack(f">{content[3]}I", count, *shape[1:])
            (folder / name).write_bytes(gzip.compress(head + rows[chosen].tobytes(), 1))
    return folder


def train(data: Path, place: Path, name: str, *, seed: int, split: Path | None, **recipe: Any) -> Path:
    """One run; kept if it is there already."""
    run = place / name
    if not (run / "report.html").is_file():
        given = {"split": split} if split else {}
        distingo.train(data, run, seed=seed, cache=place.parent / "cache", **given, **recipe)
    return run


def compare(first: Path, second: Path) -> dict[str, Any]:
    comparison = compare_runs([first, second])
    versus = comparison.runs[1].versus_best
    assert versus is not None
    return {
        "runs": [first.name, second.name],
        "n": comparison.n,
        "difference": versus.score.difference,
        "low": versus.score.low,
        "high": versus.score.high,
        "p_value": versus.score.p_value,
        "models_differ": versus.adjusted_p_value < LEVEL,
        "called_different": versus.is_clear,
        "classes_differ": sum((entry.adjusted_p_value or 1) < LEVEL for entry in versus.classes),
        "pictures_needed": versus.images_needed,
    }


def compare_halves(runs: list[Path]) -> list[dict[str, Any]]:
    """Every two of the trainings against the others, as if they were two recipes."""
    right = []
    for run in runs:
        rows = sorted(read_run(run).predictions, key=lambda row: row.file)
        right.append([row.truth == row.predicted for row in rows])
    found = []
    for two in itertools.combinations(range(len(runs)), 2):
        others = [place for place in range(len(runs)) if place not in two]
        result = recipe_difference(np.array([right[at] for at in two]), np.array([right[at] for at in others]))
        found.append({**asdict(result), "called_different": result.p_value < LEVEL})
    return found


def measure(name: str, number: int, seeds: int, place: Path) -> list[list[dict[str, Any]]]:
    """Comparisons between trainings, between groups of them, and between recipes, on one split of one data set."""
    folder = place / f"{name}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    data = DATA / name
    if name == "fashion-mnist":
        data = folder / "data" if (folder / "data").is_dir() else draw_fashion(folder / "data", number)
    first = train(data, folder, "descriptors", seed=number, split=None, model="descriptors")
    split = first / "split.csv"
    runs = [train(data, folder, f"seed-{seed}", seed=1000 + seed, split=split, **SMALL) for seed in range(seeds)]
    others = [runs[0]]
    if name != "fashion-mnist":
        others.append(train(data, folder, "frozen", seed=number, split=split, **FROZEN))
    found = (
        [compare(*pair) for pair in itertools.combinations(runs, 2)],
        compare_halves(runs),
        [compare(first, other) for other in others],
    )
    return [[{"data": name, "split": number, **entry} for entry in entries] for entries in found]


def summarize(found: list[dict[str, Any]]) -> dict[str, Any]:
    called = sum(entry["called_different"] for entry in found)
    models = [entry["models_differ"] for entry in found if "models_differ" in entry]
    return {
        **({"models_differ": sum(models)} if models else {}),
        "comparisons": len(found),
        "called_different": called,
        "rate": called / len(found),
        "median_size_of_difference": statistics.median(abs(entry["difference"]) for entry in found),
        "largest_difference": max(abs(entry["difference"]) for entry in found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a folder for the runs; those that are there are not trained again")
    options = parser.parse_args()
    found: list[list[dict[str, Any]]] = [[], [], []]
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        for number, name in itertools.product(range(options.splits), ("aerial", "fashion-mnist")):
            for kind, more in enumerate(measure(name, number, options.seeds, place)):
                found[kind] += more
            print(f"{name} {number} done", flush=True)
    names = ("trainings_of_one_recipe", "groups_of_trainings_of_one_recipe", "recipes")
    summaries = {name: summarize(entries) for name, entries in zip(names, found, strict=True)}
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "recipe": SMALL,
        "goal": GOAL,
        "summaries": summaries,
        "comparisons": dict(zip(names, found, strict=True)),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, summary in summaries.items():
        print(f"{name.replace('_', ' ')}: {summary}")
    print(f"goal: at most {GOAL:.0%} of the trainings and groups of one recipe called different")


if __name__ == "__main__":
    main()
