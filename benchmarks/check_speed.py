"""`distingo check` next to CleanVision on the same folders, and on 100,000 small images.

Both run as whole processes, taking turns, distingo with an empty cache and without embeddings: what CleanVision looks
for too (brightness, blur, size, shape, emptiness, exact and near duplicates). To the plain folders comes one with 200
planted copies, to see which are found. CleanVision lives in an environment of its own.

    python benchmarks/check_speed.py --cleanvision-python .venv-cleanvision/bin/python
"""

from __future__ import annotations

import argparse
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
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from planted_faults import CHANGES, COPIES, DATA, images_of
from turns import processor

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "check_speed.json"
SMALL = 100_000

CLEANVISION = """
import json, os, sys
import cleanvision
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues(verbose=False)
name = lambda path: os.path.relpath(path, sys.argv[1])
found = {kind: int(number) for kind, number in zip(lab.issue_summary.issue_type, lab.issue_summary.num_images)}
groups = {kind: [[name(path) for path in group] for group in lab.info[kind]["sets"]]
    for kind in ("exact_duplicates", "near_duplicates")}
print("FOUND", json.dumps({"files": len(lab.issues), "counts": found, "groups": groups}))
"""


def with_copies(place: Path) -> tuple[Path, dict[frozenset[str], str]]:
    """ball-sports with 200 changed copies."""
    data = place / "with-copies"
    shutil.copytree(DATA / "ball-sports", data)
    generator = np.random.default_rng(0)
    originals, planted = images_of(data), {}
    for at, number in enumerate(generator.choice(len(originals), COPIES, replace=False)):
        change, original = list(CHANGES)[at % len(CHANGES)], originals[number]
        copy = original.with_name(f"copy-{at:03}.jpg")
        CHANGES[change](Image.open(original).convert("RGB"), generator).save(copy, quality=90)
        planted[frozenset(path.relative_to(data).as_posix() for path in (original, copy))] = change
    return data, planted


def run_cleanvision(python: str, data: Path) -> tuple[float, dict[str, Any]]:
    begun = time.perf_counter()
    done = subprocess.run([python, "-c", CLEANVISION, str(data)], check=True, capture_output=True, text=True)
    return time.perf_counter() - begun, json.loads(done.stdout.split("FOUND")[1])


def run_distingo(data: Path, place: Path) -> tuple[float, dict[str, Any]]:
    cache, output = place / "cache", place / "check"
    for folder in (cache, output):
        shutil.rmtree(folder, ignore_errors=True)
    words = [sys.executable, "-m", "distingo", "check", str(data), "-o", str(output), "--cache", str(cache)]
    begun = time.perf_counter()
    subprocess.run([*words, "--model", "none"], check=True, capture_output=True)
    seconds = time.perf_counter() - begun
    summary = json.loads((output / "check.json").read_text(encoding="utf-8"))
    return seconds, summary | {"output": output}


def side_by_side(name: str, data: Path, place: Path, python: str, rounds: int) -> dict[str, Any]:
    ours, theirs = [], []
    for _ in range(rounds):
        seconds, told = run_distingo(data, place)
        ours.append(seconds)
        seconds, beside = run_cleanvision(python, data)
        theirs.append(seconds)
    result: dict[str, Any] = {
        "data": name,
        "files": told["files"],
        "distingo_seconds": ours,
        "cleanvision_seconds": theirs,
        "ratio": statistics.median(theirs) / statistics.median(ours),
        "distingo_counts": told["counts"],
        "cleanvision_files": beside["files"],
        "cleanvision_counts": beside["counts"],
    }
    return result | {"_told": told, "_beside": beside}


def compare_copies(result: dict[str, Any], planted: dict[frozenset[str], str]) -> dict[str, Any]:
    """How many of the planted copies each of the two found."""
    from distingo.curation.findings import read_findings

    told = {frozenset((f.file, f.other)) for f in read_findings(result["_told"]["output"] / "findings.csv") if f.counts}
    groups = [set(group) for kind in result["_beside"]["groups"].values() for group in kind]
    ours = {pair for pair in planted if pair in told}
    theirs = {pair for pair in planted if any(pair <= group for group in groups)}
    by_change = {
        change: {
            "distingo": sum(planted[pair] == change for pair in ours),
            "cleanvision": sum(planted[pair] == change for pair in theirs),
        }
        for change in CHANGES
    }
    return {"planted": len(planted), "distingo": len(ours), "cleanvision": len(theirs), "by_change": by_change}


def draw_small(place: Path, count: int) -> Path:
    """Tiles of 64 pixels that don't overlap, from photos and posters, upright and turned, as JPEG in classes."""
    data = place / "small"
    sources = [path for name in ("aerial", "ball-sports", "posters") for path in images_of(DATA / name)]
    sources = [path for path in sources if path.suffix != ".csv"]

    def cut(path: Path) -> list[Path]:
        folder, written = data / path.relative_to(DATA).parts[0], []
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        for left in range(0, image.width - 63, 64):
            for top in range(0, image.height - 63, 64):
                tile = image.crop((left, top, left + 64, top + 64))
                for turned in (tile, tile.transpose(Image.Transpose.ROTATE_90)):
                    written.append(folder / f"{path.parent.name}-{path.stem}-{left}-{top}-{turned is tile}.jpg")
                    turned.save(written[-1], quality=90)
        return written

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = [path for written in pool.map(cut, sources) for path in written]
    if len(files) < count:
        raise SystemExit(f"only {len(files):,} tiles in {DATA}; ask for fewer with --small")
    for path in files[count:]:
        path.unlink()
    return data


def decode_all(files: list[Path]) -> float:
    """Seconds that nothing but decoding takes, with a thread per core."""

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            image.load()

    begun = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, files, chunksize=64))
    return time.perf_counter() - begun


def check_small(place: Path, count: int) -> dict[str, Any]:
    data = draw_small(place, count)
    files = images_of(data)
    decoding = decode_all(files)
    seconds, told = run_distingo(data, place)
    again_begun = time.perf_counter()
    words = [sys.executable, "-m", "distingo", "check", str(data), "-o", str(place / "again"), "--model", "none"]
    subprocess.run([*words, "--cache", str(place / "cache")], check=True, capture_output=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {
        "pictures": len(files),
        "seconds": seconds,
        "pictures_per_second": len(files) / seconds,
        "again_seconds": time.perf_counter() - again_begun,
        "plain_decoding_per_second": len(files) / decoding,
        "peak_gib": peak,
        "counts": told["counts"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cleanvision-python", default=".venv-cleanvision/bin/python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=SMALL, help="how many small pictures (0: none)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        # the small ones first: peak memory is that of the largest child so far
        small = check_small(place, options.small) if options.small else None
        names = ("messy", "two-sports", "ball-sports", "aerial", "posters")
        python, rounds = options.cleanvision_python, options.rounds
        beside = [side_by_side(name, DATA / name, place, python, rounds) for name in names]
        data, planted = with_copies(place)
        copies = side_by_side("ball-sports with copies", data, place, python, rounds)
        found = compare_copies(copies, planted)
    entries = [{key: value for key, value in entry.items() if key[0] != "_"} for entry in (*beside, copies)]
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "side_by_side": entries,
        "planted_copies": found,
        "small_pictures": small,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for entry in entries:
        seconds = [statistics.median(entry[f"{who}_seconds"]) for who in ("distingo", "cleanvision")]
        print(f"{entry['data']:<24} {seconds[0]:5.1f} s, CleanVision {seconds[1]:5.1f} s: {entry['ratio']:.1f}x")
    print(json.dumps({"planted_copies": found, "small_pictures": small}, indent=1))


if __name__ == "__main__":
    main()
