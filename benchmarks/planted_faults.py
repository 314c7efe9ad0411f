"""How many planted faults `distingo check` finds, and how many of its findings are right.

Copies of images of ball-sports and aerial are changed, labels of aerial flipped, files cut short, copies put on the
other side of a split, all by a seed; then the check runs as a person runs it, but with an empty cache. A pair that was
not planted counts as right if the untouched data have it too: both sets hold images of one scene twice.

    python benchmarks/planted_faults.py
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

import distingo
from distingo.curation.check import Check
from distingo.near_duplicates.search import group_copies
from turns import processor

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
WEIGHTS = str(DATA / "weights" / "mobilenetv2_100.tf_in1k")
RESULTS = ROOT / "benchmarks" / "results" / "planted_faults.json"
COPIES = 200


def halve(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR)


def recompress(image: Image.Image, _: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def crop(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    width, height = image.width * 9 // 10, image.height * 9 // 10
    left, top = generator.integers(0, image.width - width + 1), generator.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def mirror(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image)


def brighten(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.4)


CHANGES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "halved": halve,
    "JPEG quality 30": recompress,
    "cropped 10 %": crop,
    "mirrored": mirror,
    "brightened": brighten,
}


def images_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def check(data: Path, place: Path, model: str | None, **settings: Any) -> Check:
    return distingo.check(data, model=model, cache=place / "cache", **settings)


def pairs_of(found: Check) -> set[frozenset[str]]:
    kinds = {"near-duplicate", "contradiction", "leak"}
    chosen = [finding for finding in found.findings if finding.kind in kinds and finding.counts]
    return {frozenset((finding.file, finding.other)) for finding in chosen}


def plant_copies(name: str, place: Path, model: str | None, seed: int) -> dict[str, Any]:
    """200 changed copies among the originals: how many are found, and how many of the pairs told are right."""
    natural = pairs_of(check(DATA / name, place, model))
    data = place / f"{name}-copies"
    shutil.copytree(DATA / name, data)
    generator = np.random.default_rng(seed)
    originals = images_of(data)
    planted: dict[frozenset[str], str] = {}
    for at, number in enumerate(generator.choice(len(originals), COPIES, replace=False)):
        change = list(CHANGES)[at % len(CHANGES)]
        original = originals[number]
        copy = original.with_name(f"copy-{at:03}.jpg")
        CHANGES[change](Image.open(original).convert("RGB"), generator).save(copy, quality=90)
        planted[frozenset(path.relative_to(data).as_posix() for path in (original, copy))] = change
    told = pairs_of(check(data, place, model))
    files = sorted({file for pair in (*planted, *natural, *told) for file in pair})
    place_of = {file: at for at, file in enumerate(files)}
    scene = group_copies(((place_of[a], place_of[b]) for a, b in map(sorted, (*planted, *natural))), len(files))
    right = [pair for pair in told if len({scene[place_of[file]] for file in pair}) == 1]
    found = Counter(planted[pair] for pair in planted if pair in told)
    return {
        "data": name,
        "planted": len(planted),
        "found": sum(found.values()),
        "by_change": dict(found),
        "told": len(told),
        "right": len(right),
        "natural_pairs": len(natural),
        "wrong_pairs": [sorted(pair) for pair in told if pair not in right],
    }


def flip_labels(place: Path, model: str | None, seed: int) -> dict[str, Any]:
    """5 % of aerial's images moved to another class: how many are in the worst tenth that is listed."""
    data = place / f"flipped-{seed}"
    shutil.copytree(DATA / "aerial", data)
    generator = np.random.default_rng(seed)
    files, classes = images_of(data), sorted(path.name for path in data.iterdir())
    flipped = set()
    for number in generator.choice(len(files), len(files) // 20, replace=False):
        path = files[number]
        label = str(generator.choice([name for name in classes if name != path.parent.name]))
        target = data / label / f"flipped-{path.parent.name}-{path.name}"
        path.rename(target)
        flipped.add(target.relative_to(data).as_posix())
    found = [finding for finding in check(data, place, model).findings if finding.kind == "label"]
    worst = {finding.file for finding in found[: len(files) // 10]}
    counting = {finding.file for finding in found if finding.counts}
    return {
        "model": "none" if model is None else Path(model).name,
        "seed": seed,
        "flipped": len(flipped),
        "in_worst_tenth": len(flipped & worst),
        "counting": len(counting),
        "flipped_and_counting": len(flipped & counting),
    }


def cut_files(place: Path, seed: int) -> dict[str, int]:
    """Files that break off somewhere between a twentieth of their length and the last byte."""
    data = place / "cut"
    shutil.copytree(DATA / "ball-sports", data)
    generator = np.random.default_rng(seed)
    files = images_of(data)
    chosen = [files[number] for number in generator.choice(len(files), 100, replace=False)]
    for path in chosen:
        content = path.read_bytes()
        path.write_bytes(content[: int(generator.integers(len(content) // 20, len(content) - 2))])
    told = {finding.file for finding in check(data, place, "none").counting("unreadable")}
    names = {path.relative_to(data).as_posix() for path in chosen}
    return {"cut": len(names), "found": len(names & told), "told": len(told)}


def leak(place: Path, seed: int) -> dict[str, int]:
    """Copies of test images put on the training split."""
    data = place / "leaks"
    shutil.copytree(DATA / "two-sports", data)
    generator = np.random.default_rng(seed)
    tests = images_of(data / "test")
    chosen = [tests[number] for number in generator.choice(len(tests), 30, replace=False)]
    for path in chosen:
        shutil.copy(path, data / "train" / path.parent.name / f"leak-{path.name}")
    told = {finding.file for finding in check(data, place, "none").counting("leak") if "leak-" in finding.file}
    return {"leaked": len(chosen), "found": len(told)}


def look_at_messy(place: Path, model: str | None) -> dict[str, Any]:
    """The faults that its README states, counted without distingo, against what the check tells."""
    files = images_of(DATA / "messy")
    found = check(DATA / "messy", place, model)
    by_bytes: dict[bytes, list[Path]] = {}
    for path in files:
        by_bytes.setdefault(path.read_bytes(), []).append(path)
    groups = [group for content, group in by_bytes.items() if len(group) > 1 and is_image(content)]
    redundant = {frozenset(path.relative_to(DATA / "messy").as_posix() for path in group) for group in groups}
    told = [{f.file, f.other} for f in found.findings if f.kind in {"duplicate", "contradiction"} and f.counts]
    across = [group for group in groups if len({path.parent for path in group}) > 1]
    names = {f.file for f in found.counting("contradiction")} | {f.other for f in found.counting("contradiction")}
    wrong_names = [path for path in files if is_image(path.read_bytes()) and not rightly_named(path)]
    endings = {f.file for f in found.counting("wrong-ending")}
    return {
        "files": len(files),
        "no_pictures": sum(not is_image(path.read_bytes()) for path in files),
        "unreadable_told": len(found.counting("unreadable")),
        "groups_of_copies": len(groups),
        "groups_told": sum(any(pair <= group for pair in told) for group in redundant),
        "groups_across_classes": len(across),
        "groups_across_classes_told": sum(
            any(path.relative_to(DATA / "messy").as_posix() in names for path in group) for group in across
        ),
        "wrongly_named": len(wrong_names),
        "wrongly_named_told": sum(path.relative_to(DATA / "messy").as_posix() in endings for path in wrong_names),
        "endings_told": len(endings),
        "counts": found.counts,
    }


def is_image(content: bytes) -> bool:
    try:
        Image.open(io.BytesIO(content)).load()
    except Exception:
        return False
    return True


def rightly_named(path: Path) -> bool:
    form = Image.open(path).format
    return Image.registered_extensions().get(path.suffix.lower()) in {form, "JPEG" if form == "MPO" else form}


def print_copies(entries: Iterable[dict[str, Any]]) -> None:
    for entry in entries:
        found = f"{entry['found']} of {entry['planted']} copies found"
        print(f"{entry['data']}: {found}, {entry['right']} of {entry['told']} pairs right")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2], help="of the flipped labels (default: three)")
    parser.add_argument("--copies-only", action="store_true", help="measure the copies again, keep all else")
    options = parser.parse_args()
    begun = time.perf_counter()
    stamp = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        copies = [plant_copies(name, place, WEIGHTS, options.seed[0]) for name in ("ball-sports", "aerial")]
        without = [plant_copies(name, place / "pixels", "none", options.seed[0]) for name in ("ball-sports", "aerial")]
        if options.copies_only:
            result = json.loads(RESULTS.read_text(encoding="utf-8"))
            result |= {"copies_measured": stamp, "copies": copies, "copies_without_embeddings": without}
            RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print_copies((*copies, *without))
            return
        labels = [flip_labels(place, WEIGHTS, seed) for seed in options.seed]
        labels += [flip_labels(place / "descriptors", "descriptors", seed) for seed in options.seed]
        result = stamp | {
            "seconds": 0.0,
            "copies": copies,
            "copies_without_embeddings": without,
            "flipped_labels": labels,
            "cut_files": cut_files(place, options.seed[0]),
            "exact_leaks": leak(place, options.seed[0]),
            "messy": look_at_messy(place, WEIGHTS),
        }
    result["seconds"] = time.perf_counter() - begun
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print_copies((*copies, *without))
    for entry in labels:
        print(f"flipped labels, {entry['model']}: {entry['in_worst_tenth']} of {entry['flipped']} in the worst tenth")
    print(json.dumps({name: result[name] for name in ("cut_files", "exact_leaks", "messy")}, indent=1))


if __name__ == "__main__":
    main()
