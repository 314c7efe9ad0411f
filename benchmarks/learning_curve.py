"""Forecasts made from half of a data set against the truth: ``python benchmarks/learning_curve.py``.

For `aerial` and `ball-sports` (heads on frozen MobileNetV2) and 6,000 images of Fashion-MNIST (descriptors): half of
the images are drawn by the seed, whole groups and every class alike; `distingo learning-curve`'s method sees these
alone, in five folds, and forecasts the score with twice as many training images. The truth is five-fold
cross-validation on all images, which trains on just so many. A hit is a truth inside its 95 % interval; how often it
is must be at least 8 in 10. Besides: each class's recall. Results: benchmarks/results/learning_curve.json.

``--keep FOLDER`` keeps the measured probabilities, so that the method can be changed without training again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.datasets.cache.store import Cache
from distingo.datasets.options import Reading
from distingo.datasets.splits.dividing import divide_groups
from distingo.datasets.splits.grouping import group_images
from distingo.experiments.curve_measuring import (
    Learner,
    SubsetPredictions,
    choose_sizes,
    descriptor_learner,
    draw_subsets,
    head_learner,
    measure,
)
from distingo.experiments.forecasting import extrapolate, resample_curves
from distingo.machine.device import choose_device
from distingo.near_duplicates.keeping import Belonging
from distingo.prediction.classifier import descriptors_product, gather
from distingo.records import encode_labels
from distingo.training.preparing import choose
from distingo.training.pretrained import feature_products
from distingo.training.request import TrainRequest

RESULTS = Path(__file__).parent / "results" / "learning_curve.json"
FOLDS, SIZES, VALIDATION = 5, 8, 0.15
FASHION_PER_CLASS = 600
WANTED = 0.8


@dataclass(frozen=True)
class Workload:
    name: str
    features: np.ndarray
    targets: np.ndarray
    table: np.ndarray
    groups: np.ndarray
    learn: Learner
    workers: int

    @property
    def classes(self) -> int:
        return self.table.shape[1]

    def measure(self, images: np.ndarray, seed: int, sizes: tuple[int, ...]) -> SubsetPredictions:
        """Five folds of these images, each evaluated by models that learned from the others."""
        folds = divide_groups(self.table[images], self.groups[images], [1 / FOLDS] * FOLDS, seed=seed)
        draws = [
            draw_subsets(
                self.table,
                self.groups,
                (images[folds != fold], images[folds == fold]),
                sizes,
                validation=VALIDATION,
                seed=1000 * seed + fold,
            )
            for fold in range(FOLDS)
        ]
        return measure(
            self.features, self.targets, draws, sizes, self.learn, classes=self.classes, workers=self.workers
        )

    def half(self, seed: int) -> np.ndarray:
        return np.flatnonzero(divide_groups(self.table, self.groups, [0.5, 0.5], seed=seed + 77) == 0)


def prepare(name: str, folder: Path, weights: Path) -> Workload:
    cache, belonging = Cache(), Belonging()
    classic = name == "fashion-mnist"
    options = {"model": "descriptors" if classic else f"local-dir:{weights}"}
    request = TrainRequest(reading=Reading(cache=cache), data=folder, output=Path("unused"), options=options)
    chosen, _ = choose(request, [*belonging.products(cache), descriptors_product(cache)])
    dataset = chosen.dataset
    product = descriptors_product(cache)
    if chosen.backbone is not None:
        product = feature_products(chosen.backbone, chosen.recipe, cache, choose_device("auto"))[0]
    classes = len(dataset.classes)
    links = () if classic else belonging.link(dataset, cache, os.cpu_count() or 1)
    return Workload(
        name=name,
        features=gather(product, [image.row_key for image in dataset.images]),
        targets=encode_labels(dataset.images, dataset.classes, dataset.task),
        table=encode_labels(dataset.images, dataset.classes, "multi-label"),
        groups=group_images(len(dataset.images), links).numbers,
        learn=descriptor_learner(classes=classes, seed=0)
        if classic
        else head_learner("linear", classes=classes, task=dataset.task, balanced=False, seed=0),
        workers=1 if classic else os.cpu_count() or 1,
    )


def write_fashion(source: Path, folder: Path) -> Path:
    """So many images of each class, as files."""
    images, labels = (
        np.frombuffer(gzip.decompress(next(source.glob(f"train-{kind}*")).read_bytes()), np.uint8, offset=offset)
        for kind, offset in (("images", 16), ("labels", 8))
    )
    images = images.reshape(-1, 28, 28)
    generator = np.random.default_rng(0)
    for number in range(10):
        (folder / str(number)).mkdir(parents=True)
        for at in generator.permutation(np.flatnonzero(labels == number))[:FASHION_PER_CLASS]:
            Image.fromarray(images[at]).save(folder / str(number) / f"{at:05}.png")
    return folder


def kept(path: Path | None, work: Workload, images: np.ndarray, seed: int, sizes: tuple[int, ...]) -> SubsetPredictions:
    if path is not None and path.is_file():
        with np.load(path) as content:
            arrays = (content[name] for name in ("pictures", "draws", "truth", "probabilities"))
            return SubsetPredictions(tuple(content["sizes"].tolist()), *arrays)
    found = work.measure(images, seed, sizes)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{name: getattr(found, name) for name in SubsetPredictions.__slots__})
    return found


def compare(work: Workload, seeds: range, keep: Path | None) -> dict[str, object]:
    everything = np.arange(len(work.targets))
    whole = int(len(everything) * (1 - 1 / FOLDS))
    truth_path = None if keep is None else keep / f"{work.name}-truth.npz"
    truth = kept(truth_path, work, everything, 0, (whole // 2, whole))
    right = truth.probabilities[1].argmax(axis=1) == truth.truth
    recalls = [float(right[truth.truth == number].mean()) for number in range(work.classes)]
    forecasts = []
    for seed in seeds:
        begun = time.perf_counter()
        half = work.half(seed)
        sizes = choose_sizes(int(len(half) * (1 - 1 / FOLDS)), work.classes, SIZES)
        path = None if keep is None else keep / f"{work.name}-{seed}.npz"
        curves = resample_curves(kept(path, work, half, seed, sizes), "single-label")
        forecasts.append(evaluate(curves, np.array(sizes, np.float64), float(right.mean()), recalls) | {"seed": seed})
        print(f"{work.name:14}{forecasts[-1]} {time.perf_counter() - begun:.0f} s", flush=True)
    return {
        "data": work.name,
        "pictures": len(everything),
        "truth": float(right.mean()),
        "hits": sum(bool(entry["hit"]) for entry in forecasts),
        "forecasts_made": len(forecasts),
        "mean_width": float(np.mean([entry["high"] - entry["low"] for entry in forecasts])),
        "mean_error": float(np.mean([entry["expected"] - right.mean() for entry in forecasts])),
        "class_hits": float(np.mean([entry["class_hits"] for entry in forecasts])),
        "forecasts": forecasts,
    }


def evaluate(curves: object, sizes: np.ndarray, truth: float, recalls: list[float]) -> dict[str, float]:
    twice = np.array([2.0])
    found = extrapolate(curves.overall, sizes, twice)
    low, expected, high = np.quantile(found.scores[:, 0], (0.025, 0.5, 0.975)).tolist()
    hits = []
    for curve, recall in zip(curves.classes, recalls, strict=True):
        ends = np.quantile(extrapolate(curve, sizes, twice).scores[:, 0], (0.025, 0.975))
        hits.append(bool(ends[0] <= recall <= ends[1]))
    return {
        "now": round(float(curves.overall.points[-1]), 4),
        "expected": round(expected, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "hit": low <= truth <= high,
        "class_hits": float(np.mean(hits)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DISTINGO_TEST_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    weights = given.data / "weights" / "mobilenetv2_100.tf_in1k"
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        fashion = write_fashion(given.data / "fashion-mnist", Path(scratch) / "fashion")
        for name in ("ball-sports", "aerial", "fashion-mnist"):
            folder = fashion if name == "fashion-mnist" else given.data / name
            results.append(compare(prepare(name, folder, weights), range(given.seeds), given.keep))
    hits, made = (sum(int(entry[key]) for entry in results) for key in ("hits", "forecasts_made"))
    print(f"inside the interval: {hits} of {made} (wanted: {WANTED:.0%})")
    content = {"wanted": WANTED, "inside": hits / made, "results": results}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
