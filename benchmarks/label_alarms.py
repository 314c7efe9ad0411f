"""How many labels `distingo check` doubts where none was changed, and how many of those that were.

The sets are taken to be clean. Each is checked as a person checks it, with embeddings of two backbones and with
descriptors: whole, and as an imbalanced set of two classes, the largest of the set and 13 % as many images of the
second (ten draws; as with 300 rugby and 40 soccer photos). Then 1 % and 5 % of the labels of each are moved to another
class at random (three draws): how many count, and how many of these were moved.

    python benchmarks/label_alarms.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import distingo
from turns import processor

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = ROOT / "benchmarks" / "results" / "label_alarms.json"
SETS = ("two-sports", "ball-sports", "aerial")
MODELS = {
    "descriptors": "descriptors",
    "MobileNetV2": str(DATA / "weights" / "mobilenetv2_100.tf_in1k"),
    "EfficientNet-Lite0": str(DATA / "weights" / "tf_efficientnet_lite0.in1k"),
}
RARE = 0.13
IMBALANCED_DRAWS = 10
FLIPS = (0.01, 0.05)
FLIP_DRAWS = 3

Labeled = list[tuple[Path, str]]


def read(name: str) -> Labeled:
    """All images of a set with their class, whatever their split."""
    return [(path, path.parent.name) for path in sorted((DATA / name).rglob("*")) if path.is_file()]


def imbalanced(images: Labeled, seed: int) -> Labeled:
    names, counts = np.unique([label for _, label in images], return_counts=True)
    large, rare = (str(names[at]) for at in np.argsort(-counts, kind="stable")[:2])
    many, few = ([entry for entry in images if entry[1] == label] for label in (large, rare))
    chosen = np.random.default_rng(seed).choice(len(few), round(RARE * len(many)), replace=False)
    return [*many, *(few[at] for at in chosen.tolist())]


def flip(images: Labeled, share: float, seed: int) -> tuple[Labeled, set[int]]:
    generator = np.random.default_rng(seed)
    names = sorted({label for _, label in images})
    moved = set(generator.choice(len(images), round(share * len(images)), replace=False).tolist())
    flipped = [
        (path, str(generator.choice([name for name in names if name != label])) if at in moved else label)
        for at, (path, label) in enumerate(images)
    ]
    return flipped, moved


def lay_out(images: Labeled, folder: Path) -> dict[str, int]:
    """Links in class folders; positions by the names that findings have."""
    places = {}
    for at, (path, label) in enumerate(images):
        target = folder / label / f"{at:05}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
        places[target.relative_to(folder).as_posix()] = at
    return places


def measure(images: Labeled, model: str, place: Path, moved: set[int]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        places = lay_out(images, Path(folder) / "data")
        found = distingo.check(Path(folder) / "data", Path(folder) / "out", model=MODELS[model], cache=place / "cache")
    doubted = [finding for finding in found.findings if finding.kind == "label"]
    counting = {places[finding.file] for finding in doubted if finding.counts}
    worst = {places[finding.file] for finding in doubted[: len(images) // 10]}
    basis = found.label_basis
    return {
        "images": len(images),
        "model_score": round(found.label_score or 0.0, 4),
        "baseline": None if basis is None else round(basis.baseline, 4),
        "is_better": basis is not None and basis.is_better,
        "noise": 0.0 if basis is None else round(basis.noise, 4),
        "counting": len(counting),
        "share": round(len(counting) / len(images), 4),
        "expected_false": None if basis is None or basis.false_alarms is None else round(basis.false_alarms, 4),
        "moved": len(moved),
        "moved_and_counting": len(moved & counting),
        "moved_in_worst_tenth": len(moved & worst),
    }


def cases(name: str) -> Iterator[tuple[str, int, Labeled, set[int]]]:
    images = read(name)
    yield "clean", 0, images, set()
    for seed in range(IMBALANCED_DRAWS):
        yield "clean, imbalanced", seed, imbalanced(images, seed), set()
    for share in FLIPS:
        for seed in range(FLIP_DRAWS):
            flipped, moved = flip(images, share, seed)
            yield f"{share:.0%} moved", seed, flipped, moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SETS, action="append", help="measure less and write nothing")
    options = parser.parse_args()
    begun, rows = time.perf_counter(), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or SETS:
            for case, seed, images, moved in cases(name):
                for model in MODELS:
                    rows.append({"data": name, "case": case, "seed": seed, "model": model})
                    rows[-1] |= measure(images, model, Path(folder), moved)
                    print(json.dumps(rows[-1]), flush=True)
    clean = max(row["share"] for row in rows if not row["moved"])
    print(f"largest share doubted where nothing was moved: {clean:.2%}")
    if not options.only:
        machine = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)}
        measured = datetime.now(UTC).isoformat(timespec="seconds")
        result = {"measured": measured, "machine": machine, "seconds": time.perf_counter() - begun, "rows": rows}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
