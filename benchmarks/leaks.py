"""Near-duplicates that are turned and mirrored: how many are found, what `train` does with them, and what that costs.

Aerial's images, whole or in tiles that don't overlap, get changed and turned copies by a seed: each of the eight
symmetries of the square with each of planted_faults.py's changes. A pair that was not planted counts as right if the
untouched tiles have it too. Then a frozen backbone and the descriptors are trained on the tiles, with near-duplicates
kept on one split and without; and aerial itself is trained on with an empty cache, with and without in turns.

    python benchmarks/leaks.py
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import distingo
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.near_duplicates.search import find_copies, group_copies, signature_product
from distingo.options.training import SAME_SCENE
from planted_faults import CHANGES, DATA, WEIGHTS, images_of
from turns import processor

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "leaks.json"

UNCHANGED = "only turned"
TURNS = {
    "as it is": None,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "mirrored top to bottom": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned by 90": Image.Transpose.ROTATE_90,
    "turned by 180": Image.Transpose.ROTATE_180,
    "turned by 270": Image.Transpose.ROTATE_270,
    "transposed": Image.Transpose.TRANSPOSE,
    "transversed": Image.Transpose.TRANSVERSE,
}
Pair = tuple[str, str]
PARTS = ("search", "training", "cost")


def cut_tiles(place: Path, tile: int) -> Path:
    """Every image of aerial in tiles that don't overlap, in class folders."""
    data = place / "tiles"

    def cut(path: Path) -> None:
        folder = data / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.open(path).convert("RGB")
        for left in range(0, image.width - tile + 1, tile):
            for top in range(0, image.height - tile + 1, tile):
                part = image.crop((left, top, left + tile, top + tile))
                part.save(folder / f"{path.stem}-{left:03}-{top:03}.png", compress_level=1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(cut, images_of(DATA / "aerial")))
    return data


def plant(data: Path, copies: int, seed: int) -> dict[Pair, tuple[str, str]]:
    """Changed and turned copies of tiles next to them; by pair of files, the turn and the change."""
    generator = np.random.default_rng(seed)
    originals = images_of(data)
    changes = {name: change for name, change in CHANGES.items() if name != "mirrored"}
    planted = {}
    for at, number in enumerate(generator.choice(len(originals), copies, replace=False)):
        turn = list(TURNS)[at % len(TURNS)]
        change = [UNCHANGED, *changes][at // len(TURNS) % (len(changes) + 1)]
        original = originals[number]
        image = Image.open(original).convert("RGB")
        image = image if change == UNCHANGED else changes[change](image, generator)
        method = TURNS[turn]
        image = image if method is None else image.transpose(method)
        copy = original.with_name(f"copy-{at:05}.jpg")
        image.save(copy, quality=90)
        planted[_pair(original.relative_to(data).as_posix(), copy.relative_to(data).as_posix())] = turn, change
    return planted


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def search(data: Path, cache: Path) -> tuple[set[Pair], int, float]:
    """The pairs that are told, of how many images, and the seconds of searching without decoding."""
    place = Cache(cache)
    dataset = read_dataset(data, Reading(cache=place), products=[signature_product(place)])
    names = [image.source.file for image in dataset.images]
    signatures = signature_product(place).store.rows([image.content for image in dataset.images])
    begun = time.perf_counter()
    found = find_copies(signatures, [min(image.width, image.height) for image in dataset.images])
    seconds = time.perf_counter() - begun
    told = {_pair(names[pair.first], names[pair.second]) for pair in found if pair.similarity >= SAME_SCENE}
    return told, len(names), seconds


def measure_search(planted: dict[Pair, tuple[str, str]], natural: set[Pair], data: Path, cache: Path) -> dict[str, Any]:
    told, images, seconds = search(data, cache)
    files = sorted({file for pair in (*planted, *natural, *told) for file in pair})
    place_of = {file: at for at, file in enumerate(files)}
    scene = group_copies(((place_of[a], place_of[b]) for a, b in (*planted, *natural)), len(files))
    right = [pair for pair in told if scene[place_of[pair[0]]] == scene[place_of[pair[1]]]]
    all_turns, all_changes = (Counter(entry[at] for entry in planted.values()) for at in (0, 1))
    turns, changes = (Counter(planted[pair][at] for pair in planted if pair in told) for at in (0, 1))
    wrong = Counter(_turn_of(pair, planted) for pair in told if pair not in set(right))
    return {
        "images": images,
        "planted": len(planted),
        "found": sum(turns.values()),
        "told": len(told),
        "right": len(right),
        "natural": len(natural),
        "found_by_turn": {name: [turns[name], number] for name, number in all_turns.items()},
        "found_by_change": {name: [changes[name], number] for name, number in all_changes.items()},
        "wrong_by_turn_of_the_copy": dict(wrong),
        "search_seconds": seconds,
    }


def _turn_of(pair: Pair, planted: dict[Pair, tuple[str, str]]) -> str:
    known = {file: entry[0] for names, entry in planted.items() for file in names}
    return next((known[file] for file in pair if file in known), "neither was planted")


def train_on(data: Path, planted: dict[Pair, tuple[str, str]], place: Path) -> list[dict[str, Any]]:
    """The backbone and the descriptors on the tiles, with and without keeping near-duplicates together."""
    results = []
    for option in ("none", None):
        output = place / f"run-{option}"
        run = distingo.train(data, output, model=f"local-dir:{WEIGHTS}", near_duplicates=option, cache=place / "cache")
        with (output / "split.csv").open(encoding="utf-8", newline="") as file:
            sides = {row["file"]: row["split"] for row in csv.DictReader(file)}
        straddling = [pair for pair in planted if sides.get(pair[0]) != sides.get(pair[1])]
        counts = json.loads((output / "near_duplicates.json").read_text(encoding="utf-8"))
        accuracies = {"backbone": run.evaluation.scores["accuracy"].value}
        accuracies |= {name: scores["accuracy"].value for name, scores in run.evaluation.baselines.items()}
        results.append(
            {
                "near_duplicates": option or "default",
                "accuracy": accuracies,
                "planted_straddling": len(straddling),
                "test_images": sum(side == "test" for side in sides.values()),
                "test_images_with_a_planted_mate_in_train": sum(
                    {sides.get(file) for file in pair} == {"train", "test"} for pair in planted
                ),
                "counts": counts,
            }
        )
    return results


def measure_cost(place: Path, rounds: int) -> dict[str, Any]:
    """Whole cold runs on aerial, with near-duplicates searched for and without, in turns.

    A run's processor seconds, its own and the system's for it, hardly depend on what else the machine does.
    """
    seconds: dict[str, list[float]] = {"none": [], "0.8": []}
    cpu_seconds: dict[str, list[float]] = {"none": [], "0.8": []}
    for at in range(rounds + 1):
        for option in list(seconds) if at % 2 else list(seconds)[::-1]:
            for folder in ("cold-run", "cold-cache"):
                shutil.rmtree(place / folder, ignore_errors=True)
            words = [sys.executable, "-m", "distingo", "train", str(DATA / "aerial"), "-o", str(place / "cold-run")]
            words += ["--model", f"local-dir:{WEIGHTS}", "--near-duplicates", option]
            begun, used = time.perf_counter(), _processor_seconds()
            done = subprocess.run(
                [*words, "--cache", str(place / "cold-cache")], check=False, capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(f"train --near-duplicates {option} ended with {done.returncode}: {done.stderr[-2000:]}")
            if at:  # the first round only warms the file system's cache
                seconds[option].append(time.perf_counter() - begun)
                cpu_seconds[option].append(_processor_seconds() - used)
    return {"wall": _compare_seconds(seconds), "processor": _compare_seconds(cpu_seconds)}


def _processor_seconds() -> float:
    """What all processes that this one started and that ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _compare_seconds(seconds: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [with_ / without for with_, without in zip(seconds["0.8"], seconds["none"], strict=True)]
    medians = {option: statistics.median(each) for option, each in seconds.items()}
    return {"seconds": seconds, "medians": medians, "ratios": ratios, "ratio": statistics.median(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tile", type=int, default=200, help="pixels of a tile's side (default: 200, whole images)")
    parser.add_argument("--copies", type=int, default=2000, help="planted (default: 2,000)")
    parser.add_argument("--rounds", type=int, default=5, help="of cold runs in turns (default: 5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured (default: all)")
    options = parser.parse_args()
    result: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    stamp = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if "search" in options.parts or "training" in options.parts:
            data = cut_tiles(place, options.tile)
            natural, *_ = search(data, place / "cache")
            planted = plant(data, options.copies, options.seed)
        tile = f"tiles of {options.tile}"
        if "search" in options.parts:
            found = stamp | measure_search(planted, natural, data, place / "cache")
            result.setdefault("search", {})[tile] = found
            print(json.dumps(found, indent=1), flush=True)
        if "training" in options.parts:
            trained = stamp | {"runs": train_on(data, planted, place)}
            result.setdefault("training", {})[tile] = trained
            print(json.dumps(trained, indent=1), flush=True)
        if "cost" in options.parts:
            result["cost"] = stamp | measure_cost(place, options.rounds)
            print(json.dumps(result["cost"], indent=1), flush=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
