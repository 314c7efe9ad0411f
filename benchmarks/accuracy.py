"""Test accuracy of the models on the real data sets, by the same commands a person would type.

    python benchmarks/accuracy.py                      # everything (about an hour on 2 cores)
    python benchmarks/accuracy.py fashion-mnist aerial # some data sets
    python benchmarks/accuracy.py --only small-cnn     # one model

The data folder is named by DISTINGO_TEST_DATA (default ../shared/data). Every run is a `distingo train` process; what
it says of itself in evaluation.json is collected in benchmarks/results/accuracy.json, and printed as a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
WEIGHTS = DATA / "weights" / "mobilenetv2_100.tf_in1k"
RESULTS = ROOT / "benchmarks" / "results" / "accuracy.json"


@dataclass(frozen=True)
class Trial:
    """One model on one data set; `name` is what the table calls it."""

    data: str
    name: str
    seeds: int
    options: tuple[str, ...] = ()
    model: str = ""


TRIALS = (
    # as published: 10 epochs on 48,000 of the 60,000 training images, evaluated on the 10,000
    Trial("fashion-mnist", "fashion-cnn", 3, ("--epochs", "10", "--validation", "0.2")),
    # three seeds of what takes less than 5 minutes, else one
    Trial("fashion-mnist", "small-cnn", 1, ("--validation", "0.1")),
    *(
        Trial(data, model, seeds)
        for data, seeds_of_small_cnn in (("two-sports", 3), ("ball-sports", 3), ("aerial", 1))
        for model, seeds in (("descriptors", 3), ("sports-cnn", 3), ("small-cnn", seeds_of_small_cnn))
    ),
    *(
        Trial(data, f"mobilenetv2 {mode}", 5, ("--mode", mode), f"local-dir:{WEIGHTS}")
        for mode in ("frozen", "finetune")
        for data in ("two-sports", "ball-sports", "aerial")
    ),
    # the engines' features against float32
    *(
        Trial(
            data,
            f"mobilenetv2 {engine} {precision}",
            5,
            ("--engine", engine, "--precision", precision),
            f"local-dir:{WEIGHTS}",
        )
        for engine in ("torch", "openvino")
        for precision in ("float32", "bfloat16")
        for data in ("ball-sports", "aerial")
    ),
)


def run(trial: Trial, seed: int, folder: Path) -> dict[str, object]:
    output = folder / f"{trial.data}-{trial.name}-{seed}".replace(" ", "-")
    words = [sys.executable, "-m", "distingo", "train", str(DATA / trial.data), "-o", str(output)]
    words += ["--model", trial.model or trial.name, "--seed", str(seed), *trial.options]
    started = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return {
        **collect(output),
        "model": trial.name,
        "options": list(trial.options),
        "seconds_in_all": time.perf_counter() - started,
    }


def collect(output: Path) -> dict[str, object]:
    """What a finished run says of itself."""
    evaluation = json.loads((output / "evaluation.json").read_text())
    config = json.loads((output / "config.json").read_text())
    history = (output / "history.csv").read_text().splitlines()[1:] if (output / "history.csv").is_file() else []
    return {
        "data": Path(config["data"]).name,
        "model": config["recipe"]["model"],
        "seed": config["recipe"]["seed"],
        "accuracy": evaluation["scores"]["accuracy"],
        "f1_macro": evaluation["scores"]["f1_macro"],
        "majority": evaluation["baselines"].get("majority", {}).get("accuracy"),
        "validation": max((float(line.split(",")[4]) for line in history), default=None),
        "descriptors": evaluation["baselines"].get("descriptors", {}).get("accuracy"),
        "seconds_of_training": round(sum(float(line.rsplit(",", 1)[1]) for line in history), 1),
        "recipe": {**config["recipe"], "model": Path(config["recipe"]["model"]).name},  # no path of this machine
        "environment": config["environment"],
    }


def keep(results: list[dict[str, object]]) -> None:
    """Replace what was measured before of the same model, data and seed; keep the rest."""
    RESULTS.parent.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    new = {(r["data"], r["model"], r["seed"]) for r in results}
    kept = [r for r in before if (r["data"], r["model"], r["seed"]) not in new]
    RESULTS.write_text(json.dumps([*kept, *results], indent=1) + "\n")


def print_table() -> None:
    results = json.loads(RESULTS.read_text())
    print("\n| data | model | seeds | test accuracy (median) | 95 % interval | n | training s |")
    print("|---|---|---|---|---|---|---|")
    for data, model in dict.fromkeys((r["data"], r["model"]) for r in results):
        rows = sorted((r for r in results if (r["data"], r["model"]) == (data, model)), key=_value)
        middle = rows[(len(rows) - 1) // 2]["accuracy"]
        seconds = statistics.median(r["seconds_of_training"] for r in rows)
        interval = f"{middle['low']:.1%} to {middle['high']:.1%}"
        print(
            f"| {data} | {model} | {len(rows)} | {middle['value']:.1%} | {interval} | {middle['n']} | {seconds:.0f} |"
        )


def _value(result: dict[str, dict[str, float]]) -> float:
    return result["accuracy"]["value"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", help="data sets (default: all)")
    parser.add_argument("--only", help="one model")
    parser.add_argument("--seed", type=int, nargs="*", help="only these (default: as many as TRIALS says)")
    parser.add_argument("--collect", metavar="RUN", type=Path, nargs="*", help="add finished runs, train none")
    options = parser.parse_args()
    if options.collect:
        keep([collect(run) for run in options.collect])
        print_table()
        return
    with tempfile.TemporaryDirectory() as folder:
        for trial in TRIALS:
            if (options.data and trial.data not in options.data) or options.only not in {None, trial.name}:
                continue
            for seed in options.seed or range(trial.seeds):
                result = run(trial, seed, Path(folder))
                keep([result])
                print(f"{trial.data} {trial.name} seed {seed}: {result['accuracy']}", flush=True)
    print_table()


if __name__ == "__main__":
    main()
