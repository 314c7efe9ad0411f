"""Seconds and scores of the four heads on synthetic embeddings: ``python benchmarks/heads.py [--kind linear]``.

Embeddings are clusters of 1,280 numbers with a falling spectrum, cut off at 0 as ReLU does (seed 0), in the
sizes of issue 3 and 4: two classes from 2,448 images, ten from 60,000, 25 labels from 2,900. Validation and
test have a fifth of the images each, on top. Results: benchmarks/results/heads.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from distingo.metrics.logits import score_logits
from distingo.models.heads import HEADS
from distingo.records import Task
from distingo.training.head_selection import fit_head

RESULTS = Path(__file__).parent / "results" / "heads.json"
FEATURES = 1280


@dataclass(frozen=True)
class Workload:
    name: str
    task: Task
    images: int
    classes: int
    goal: float  # seconds for the linear head


WORKLOADS = (
    Workload("two classes", "single-label", 2_448, 2, 0.5),
    Workload("ten classes", "single-label", 60_000, 10, 60.0),
    Workload("25 labels", "multi-label", 2_900, 25, 5.0),
)


def embed(load: Workload, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What a backbone might give: embeddings float32 (n, 1280) and targets."""
    fixed, generator = np.random.default_rng(0), np.random.default_rng(seed)
    directions = fixed.normal(size=(200, FEATURES)).astype(np.float32)
    means = fixed.normal(size=(load.classes, 200)).astype(np.float32)
    factors = generator.normal(size=(n, 200)).astype(np.float32)
    spectrum = np.geomspace(2.0, 0.1, 200, dtype=np.float32)
    if load.task == "multi-label":
        rarity = np.linspace(0.5, 2.4, load.classes) * np.linalg.norm(means, axis=1)
        noise = generator.normal(scale=10, size=(n, load.classes))
        targets = (factors @ means.T + noise > rarity).astype(np.float32)
    else:
        targets = generator.integers(0, load.classes, n)
        factors += 0.12 * means[targets] / spectrum.mean()
    rows = (factors * spectrum) @ directions
    rows += generator.normal(size=rows.shape).astype(np.float32)
    return np.maximum(rows / 3 + 0.3, 0), targets


def measure(load: Workload, kind: str) -> dict[str, object]:
    train, validation, test = (
        embed(load, n, seed) for seed, n in enumerate((load.images, load.images // 5, load.images // 5))
    )
    wall, processor = time.perf_counter(), time.process_time()
    fitted = fit_head(kind, train, validation, classes=load.classes, task=load.task)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    with torch.inference_mode():
        score, log_loss = score_logits(fitted.head(torch.from_numpy(test[0])).numpy(), test[1], load.task)
    return {
        "data": load.name,
        "head": kind,
        "seconds": round(wall, 3),
        "processor_seconds": round(processor, 3),
        "goal": load.goal if kind == "linear" else None,
        "score": score,
        "log_loss": log_loss,
        "settings": fitted.settings,
        "trials": len(fitted.path),
        "converged": fitted.converged,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=HEADS, action="append")
    parser.add_argument("--data", choices=[load.name for load in WORKLOADS], action="append")
    given = parser.parse_args()
    fit_head("linear", *[embed(WORKLOADS[0], 60, 0)] * 2, classes=2, task="single-label")  # loads what is loaded once
    results = []
    for load in WORKLOADS:
        for kind in given.kind or HEADS:
            if given.data is None or load.name in given.data:
                result = measure(load, kind)
                results.append(result)
                print(
                    f"{load.name:12}{kind:12}{result['seconds']:8.2f} s ({result['processor_seconds']:.2f} s of "
                    f"processor time), score {result['score']:.3f}, log loss {result['log_loss']:.3f}, "
                    f"{result['trials']} trials, {result['settings']}",
                    flush=True,
                )
    if given.kind is None and given.data is None:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
