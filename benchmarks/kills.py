"""Kill every long command at random moments, give the same command again, and see that nothing is lost.

Every command works in a process of its own, forked from this one when all libraries are loaded, so that the moments
fall into its work. It is killed (SIGKILL) at moments that the seed draws over the time that a whole run takes, and
started again with the same words until it ends by itself. What it leaves must be what a run without a kill leaves.

    python benchmarks/kills.py --moments 20
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distingo.datasets.options import Reading

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), *(str(ROOT / "tests" / name) for name in ("", "download", "datasets"))]

SMALL = ["--model", "small-cnn", "--image-size", "16", "--batch-size", "16", "--seed", "3"]
LIBRARIES = ("torch", "sklearn.linear_model", "scipy.stats", "pyarrow.parquet", "jinja2", "optuna", "rich.progress")


@dataclass(frozen=True)
class Task:
    """A command that is killed.

    Attributes:
        name: Of the command.
        work: Does it in the folder it is given; returns an exit code.
        result: What must be the same after kills; raises where something is wrong.
        left: A pattern of files that must not be left in the folder.
    """

    name: str
    work: Callable[[Path], int]
    result: Callable[[Path], object]
    left: str = ".*.????????"


def command(*words: object) -> int:
    from distingo.cli import main

    return main([str(word) for word in words])


def digest(*paths: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def without(path: Path, *names: str) -> object:
    """A JSON file without what differs from run to run."""
    content = json.loads(path.read_text("utf-8"))
    return {name: value for name, value in content.items() if name not in {"checksum", "seconds", *names}}


def classes_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def trials_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def tasks(root: Path, site: Any) -> dict[str, Task]:
    data, run = root / "data", root / "run"
    images = root / "images"
    small = [*SMALL, "--cache", root / "cache"]

    def review(folder: Path) -> int:
        """As the page of `review` does it: a decision is announced when the table has it."""
        from distingo.datasets.corrections import Correction
        from distingo.reviewing.decisions import Decisions

        folder.mkdir(exist_ok=True)
        decisions = Decisions(folder / "corrections.csv", data)
        for name in classes_of(data):
            if name not in decisions.corrections.by_file:
                decisions.change(lambda _, name=name: {name: Correction(name, "quarantine")})
                with (folder / "announced").open("a") as file:
                    file.write(f"{name}\n")
        return 0

    def reviewed(folder: Path) -> object:
        from distingo.datasets.corrections import read_corrections

        known = read_corrections(folder / "corrections.csv", data).by_file
        announced = (folder / "announced").read_text().split("\n")[:-1]
        assert set(announced) <= set(known), "an announced decision is lost"
        return sorted(known)

    def cache(folder: Path) -> int:
        from distingo.datasets.cache.store import Cache
        from distingo.datasets.gathering import pixels_product, read_dataset
        from distingo.records import ImageSpec

        kept = Cache(folder)
        product = pixels_product(kept, ImageSpec(24, 24, 3, "stretch"))
        read_dataset(data, Reading(cache=kept, workers=1), products=[product])
        return 0

    def cached(folder: Path) -> object:
        from distingo.datasets.cache.store import Cache
        from distingo.datasets.gathering import pixels_product, read_dataset
        from distingo.records import ImageSpec

        kept = Cache(folder)
        product = pixels_product(kept, ImageSpec(24, 24, 3, "stretch"))
        images = read_dataset(data, Reading(cache=kept, workers=1), products=[product]).images
        rows = product.store.rows([image.row_key for image in images])
        return hashlib.sha256(rows.take(range(len(rows))).tobytes()).hexdigest()

    def download(folder: Path) -> int:
        from loopback_site import QUICK
        from tiny_sets import tiny_set

        from distingo.download.named import gather_set

        gather_set(tiny_set("oxford-pets")[0], folder, mirror=site.url, limits=QUICK, allow_private=True)
        return 0

    everything = [
        Task(
            "train",
            lambda folder: command("train", data, "-o", folder, *small, "--epochs", 3),
            lambda folder: digest(
                *(folder / n for n in ("model/model.safetensors", "split.csv", "predictions.parquet"))
            ),
        ),
        Task(
            "crossval",
            lambda folder: command("crossval", data, "-o", folder, *small, "--epochs", 2, "--folds", 3),
            lambda folder: digest(folder / "predictions.parquet", folder / "folds.csv"),
        ),
        Task(
            "tune",
            lambda folder: command("tune", data, "-o", folder, *small, "--epochs", 2, "--trials", 4),
            lambda folder: (trials_of(folder), without(folder / "best-recipe.json")),
        ),
        Task(
            "learning-curve",
            lambda folder: command(
                *("learning-curve", data, "-o", folder, "--model", "descriptors", "--cache", root / "cache"),
                *("--sizes", 4, "--draws", 2),
            ),
            lambda folder: without(folder / "learning-curve.json"),
        ),
        Task(
            "export",
            lambda folder: command("export", run, "-o", folder / "export", "--format", "torch-export"),
            lambda folder: without(folder / "export" / "distingo.json", "provenance"),
        ),
        Task(
            "predict",
            lambda folder: command("predict", run, images, "-o", folder / "table.csv", "--engine", "torch"),
            lambda folder: digest(folder / "table.csv"),
        ),
        Task("review", review, reviewed),
        Task("download archives", download, classes_of),
        # a killed process's unfinished segment is removed after a day: another one may be writing it
        Task("cache", cache, cached, left="no such file"),
    ]
    return {task.name: task for task in everything}


def fork(task: Task, folder: Path, log: Path) -> int:
    """Start a task in a process of its own; returns its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = task.work(folder)
        sys.stdout.flush()
    except BaseException as error:  # told by the log and the exit code
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def wait_for(child: int, seconds: float | None) -> int | None:
    """Its exit code; None where it was killed after so many seconds."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.001)


@dataclass(frozen=True)
class Held:
    """What came of killing one command."""

    name: str
    kills: int
    ends: int
    seconds: float
    faults: tuple[str, ...]


def kill_often(task: Task, root: Path, moments: int, generator: random.Random) -> Held:
    log = root / f"{task.name}.log"
    begun = time.monotonic()
    whole = root / f"{task.name} whole"
    whole.mkdir()
    if wait_for(fork(task, whole, log), None):
        return Held(task.name, 0, 0, 0.0, (f"does not even work without a kill: {log.read_text()[-500:]}",))
    seconds = time.monotonic() - begun
    expected = task.result(whole)
    kills = ends = 0
    faults: list[str] = []
    folder = root / f"{task.name} killed"
    while kills < moments and len(faults) < 5:
        folder.mkdir(exist_ok=True)
        code = wait_for(fork(task, folder, log), generator.uniform(0.0, seconds))
        if code is None:
            kills += 1
            if kills < moments:
                continue
            code = wait_for(fork(task, folder, log), None)
        ends += 1
        faults += find_faults(task, folder, code, expected, log)
        shutil.rmtree(folder)
    return Held(task.name, kills, ends, seconds, tuple(faults))


def find_faults(task: Task, folder: Path, code: int | None, expected: object, log: Path) -> list[str]:
    said = f"exit code {code}: {log.read_text()[-500:]}; " if code else ""
    try:
        # a kill after the last file leaves a whole result, which the same command refuses to write over
        if task.result(folder) != expected:
            return [f"{said}another result than without a kill"]
    except Exception as error:
        return [f"{said}{type(error).__name__}: {error}"]
    left = [path.relative_to(folder).as_posix() for path in folder.rglob(task.left)]
    return [f"left behind: {', '.join(left)}"] if left else []


def prepare(root: Path) -> None:
    """Data, images and a run that exports and predictions are made from."""
    from tiny_datasets import draw_classes

    data = draw_classes(root / "data", per_class=16, size=24)
    (root / "images").mkdir()
    for at in range(300):
        os.link(data / ("red", "blue", "green")[at % 3] / f"{at % 16:03}.png", root / "images" / f"{at:03}.png")
    words = ["train", data, "-o", root / "run", *SMALL, "--epochs", 2, "--cache", root / "cache"]
    task = Task("prepare", lambda _: command(*words), lambda _: None)
    if wait_for(fork(task, root, root / "prepare.log"), None):
        raise SystemExit((root / "prepare.log").read_text())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20, help="kills for each command (default: 20)")
    parser.add_argument("--only", action="append", help="a command, may be repeated (default: all)")
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--json", type=Path, help="also write the table here")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in LIBRARIES:
        importlib.import_module(name)
    from loopback_site import Trouble, serve_site
    from tiny_sets import tiny_set

    from distingo.runs import evaluation as run_cost

    run_cost.MEASURED_SECONDS = 0.05
    found = []
    print(f"{'command':20} {'kills':>5} {'ends':>5} {'whole s':>8}  faults", flush=True)
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary, serve_site() as site:
        root = Path(temporary)
        files = tiny_set("oxford-pets")[1]
        site.pages = {f"/{name}": content for name, content in files.items()}
        site.always["/images.tar.gz"] = Trouble(drip=0.0001)
        prepare(root)
        for name, task in tasks(root, site).items():
            if options.only and name not in options.only:
                continue
            held = kill_often(task, root, options.moments, random.Random(f"{options.seed} {name}"))
            found.append(held)
            print(f"{name:20} {held.kills:5} {held.ends:5} {held.seconds:8.2f}  {'; '.join(held.faults)}", flush=True)
    if options.json is not None:
        rows = [replace(held, seconds=round(held.seconds, 2)).__dict__ for held in found]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return int(any(held.faults or held.kills < options.moments for held in found))


if __name__ == "__main__":
    raise SystemExit(main())
