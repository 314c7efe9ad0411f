"""Several labels per image: what each kind of model is worth on film posters, by the commands a person would type.

    python benchmarks/posters.py                             # everything (some hours on 2 cores)
    python benchmarks/posters.py --only prevalence           # one kind of model
    python benchmarks/posters.py --only frozen --seeds 1     # with fewer seeds

The data folder is named by DISTINGO_TEST_DATA (default ../shared/data); the backbone is its
`weights/mobilenetv2_100.tf_in1k`. What takes under 3 minutes runs with 5 seeds (of split and training), the rest with
one. Every run is a `distingo train` process; what it says of itself is collected in
benchmarks/results/posters.json, and printed as tables with n and intervals.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = ROOT / "benchmarks" / "results" / "posters.json"
BACKBONE = str(DATA / "weights" / "mobilenetv2_100.tf_in1k")

SCORES = (
    "mean_average_precision_macro",
    "mean_average_precision_micro",
    "f1_macro",
    "f1_macro_at_half",
    "log_loss",
)
PUBLISHED_LOSS = 0.24
"""Validation binary cross-entropy that poster-cnn was published with."""

LOGISTIC_REGRESSION = {"mean_average_precision_macro": 0.24, "mean_average_precision_micro": 0.48}
"""What a plain logistic regression per label reaches on the frozen features."""


@dataclass(frozen=True)
class Trial:
    """One kind of model and how often it is trained."""

    name: str
    seeds: int
    options: tuple[str, ...]


TRIALS = (
    Trial("prevalence", 5, ("--model", "prevalence")),
    Trial("descriptors", 5, ("--model", "descriptors")),
    # as published: 10 epochs of 64 images at 400x300, Adam at 1e-3, no augmentation
    Trial("poster-cnn", 1, ("--model", "poster-cnn", "--epochs", "10", "--monitor", "validation_loss")),
    Trial("frozen", 5, ("--model", BACKBONE, "--mode", "frozen")),
    Trial("finetune", 1, ("--model", BACKBONE, "--mode", "finetune")),
)


def run(trial: Trial, seed: int, folder: Path) -> dict[str, Any]:
    output = folder / f"{trial.name}-{seed}"
    words = [sys.executable, "-m", "distingo", "train", str(DATA / "posters" / "train.csv"), "-o", str(output)]
    words += ["--seed", str(seed), *trial.options]
    started = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return {"name": trial.name, **collect(output), "seconds_in_all": round(time.perf_counter() - started, 1)}


def collect(output: Path) -> dict[str, Any]:
    """What a finished run says of itself."""
    evaluation = json.loads((output / "evaluation.json").read_text())
    config = json.loads((output / "config.json").read_text())
    losses = []
    if (output / "history.csv").is_file():
        with (output / "history.csv").open(encoding="utf-8") as file:
            losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    return {
        "seed": config["recipe"]["seed"],
        "n": evaluation["n"],
        "scores": {name: evaluation["scores"][name] for name in SCORES},
        "prevalence": {name: score for name, score in _prevalence(evaluation).items() if name in SCORES},
        "left_out": evaluation["left_out"],
        "validation_losses": losses,
        "recipe": {**config["recipe"], "model": Path(config["recipe"]["model"]).name},
        "environment": config["environment"],
    }


def _prevalence(evaluation: dict[str, Any]) -> dict[str, Any]:
    baselines: dict[str, Any] = evaluation["baselines"]
    return dict(baselines.get("prevalence", evaluation["scores"]))


def keep(result: dict[str, Any]) -> None:
    """Replace what was measured before of the same model and seed; keep the rest."""
    RESULTS.parent.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    kept = [r for r in before if (r["name"], r["seed"]) != (result["name"], result["seed"])]
    order = [trial.name for trial in TRIALS]
    kept = sorted([*kept, result], key=lambda r: (order.index(r["name"]), r["seed"]))
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


def print_tables() -> None:
    """Medians over seeds; the interval is that of the seed in the middle."""
    results = json.loads(RESULTS.read_text())
    names = [trial.name for trial in TRIALS if any(r["name"] == trial.name for r in results)]
    print("\n| model | seeds | n | " + " | ".join(score.replace("_", " ") for score in SCORES) + " | seconds |")
    print("|" + "---|" * (len(SCORES) + 4))
    for name in names:
        rows = [r for r in results if r["name"] == name]
        cells = [_cell([r["scores"][score] for r in rows]) for score in SCORES]
        seconds = statistics.median(r["seconds_in_all"] for r in rows)
        print(f"| {name} | {len(rows)} | {rows[0]['n']} | {' | '.join(cells)} | {seconds:.0f} |")
    for line in _claims({name: [r for r in results if r["name"] == name] for name in names}):
        print(line)


def _cell(scores: list[dict[str, float]]) -> str:
    middle = _middle(scores)
    return f"{middle['value']:.3f} ({middle['low']:.3f} to {middle['high']:.3f})"


def _middle(scores: list[dict[str, float]]) -> dict[str, float]:
    return sorted(scores, key=_value)[(len(scores) - 1) // 2]


def _value(score: dict[str, float]) -> float:
    return score["value"]


def _claims(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What was hoped for, next to what was measured."""

    def median(name: str, score: str) -> float:
        return _middle([r["scores"][score] for r in results[name]])["value"]

    lines = []
    macro = "mean_average_precision_macro"
    if "frozen" in results:
        for score, goal in LOGISTIC_REGRESSION.items():
            lines.append(f"frozen, {score}: {median('frozen', score):.3f}, a plain logistic regression {goal}")
    for name in results:
        tuned, at_half = median(name, "f1_macro"), median(name, "f1_macro_at_half")
        gain = f"{tuned / at_half - 1:+.0%}" if at_half else "from nothing"
        lines.append(f"{name}: F1 macro {tuned:.3f} at tuned thresholds, {at_half:.3f} at 0.5 ({gain}; hoped for +50%)")
    if {"frozen", "poster-cnn"} <= results.keys():
        gain = median("frozen", macro) / median("poster-cnn", macro) - 1
        lines.append(f"frozen is {gain:+.0%} above poster-cnn in {macro} (hoped for +25%)")
    for r in results.get("poster-cnn", []):
        frequencies = r["prevalence"]["log_loss"]["value"]
        lines.append(
            f"poster-cnn, lowest validation binary cross-entropy in {len(r['validation_losses'])} epochs: "
            f"{min(r['validation_losses']):.4f}; published {PUBLISHED_LOSS}; answering every label's frequency costs "
            f"{frequencies:.4f} on the test split"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[trial.name for trial in TRIALS], help="one kind of model")
    parser.add_argument("--seeds", type=int, help="so many seeds instead of what fits")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for trial in TRIALS:
            if options.only not in {None, trial.name}:
                continue
            for seed in range(options.seeds or trial.seeds):
                result = run(trial, seed, Path(folder))
                keep(result)
                macro = result["scores"]["mean_average_precision_macro"]
                print(f"{trial.name} seed {seed}: {macro} ({result['seconds_in_all']} s)", flush=True)
    print_tables()


if __name__ == "__main__":
    main()
