"""Whether a model is as sure as it may be: ``python benchmarks/confidence.py``.

A linear head on a frozen MobileNetV2 (``weights/mobilenetv2_100.tf_in1k`` in the data folder that
DISTINGO_TEST_DATA names), split, fitted, calibrated and evaluated by the functions that ``distingo train`` calls, over
20 splits of ``aerial``, ``posters`` and ``two-sports`` and 3 of the other data sets. Two-sports comes with a test
split of 75 images, the same in all splits; it is also measured with one drawn anew each time. Per data set, over its
splits:

- coverage and size of prediction sets where 80 to 99 % were requested, and next to them, where there is one label per
  image, adaptive sets (Romano, Sesia and Candès, Classification with valid and adaptive coverage, 2020) and their
  regularised kind (Angelopoulos et al., Uncertainty sets for image classifiers using conformal prediction, 2021), and
  plain sets whose threshold is taken from a part of training that nothing was chosen by;
- calibration error before and after, and the log loss on the test split before and after;
- how many answers were wrong where 1 to 20 % were requested, and in how many splits more than that;
- how many test images were called unlike training, and how many of the other data sets.

Results: benchmarks/results/confidence.json. ``--only aerial --splits 3`` measures less and writes nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import Product, read_dataset
from distingo.datasets.options import Reading
from distingo.datasets.splits.splitting import split_dataset
from distingo.evaluation.scores import evaluate_confidence
from distingo.machine.process import configure_process, prepare_process
from distingo.metrics.conformal import prediction_sets, set_threshold
from distingo.metrics.logits import fit_calibration
from distingo.metrics.thresholds import apply_thresholds, choose_thresholds
from distingo.models.description import ModelDescription
from distingo.models.reference_data import Calibration, build_bank, build_calibration_set
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import Outputs, gather, to_probabilities
from distingo.prediction.naming import ood_threshold
from distingo.records import Dataset, LabeledImage, encode_labels
from distingo.runs.evaluation import Confidence
from distingo.training.calibration import count_folds, cross_fit_head, deal_folds
from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.head_selection import fit_head
from distingo.training.pretrained import feature_products, load_requested_backbone

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = ROOT / "benchmarks" / "results" / "confidence.json"
FASHION_IMAGES = 1_500
SETS = {
    "aerial": ("aerial", 20),
    "posters": ("posters/train.csv", 20),
    "ball-sports": ("ball-sports", 3),
    "two-sports": ("two-sports", 20),
    "two-sports, test split drawn anew": ("two-sports", 20),
    "fashion-mnist": ("fashion-mnist", 3),
}


@dataclass(frozen=True)
class Fitted:
    model: SavedModel
    test: tuple[LabeledImage, ...]
    outputs: Outputs
    held_out_logits: np.ndarray
    held_out_targets: np.ndarray
    validation_accuracy: float


def open_sets(names: list[str]) -> tuple[Product, dict[str, Dataset]]:
    configure_process()
    prepare_process()
    options = {"model": str(DATA / "weights" / "mobilenetv2_100.tf_in1k"), "mode": "frozen"}
    backbone = load_requested_backbone(options)
    assert backbone is not None
    facts = DataFacts(images=2_000, height=224, width=224, gray=False, task="single-label")
    recipe, _ = choose_recipe(facts, options, backbone.description)
    cache = Cache()
    (product, *_) = feature_products(backbone, recipe, cache, torch.device("cpu"))
    found = {}
    for name in names:
        path = unpack_fashion() if name == "fashion-mnist" else DATA / SETS[name][0]
        dataset = read_dataset(path, Reading(cache=cache), products=[product])
        if name.endswith("drawn anew"):
            dataset = replace(dataset, images=tuple(replace(each, predefined_split=None) for each in dataset.images))
        found[name] = dataset
    return product, found


def unpack_fashion() -> Path:
    """Some training images of Fashion-MNIST as files, as embedding all 70,000 would take an hour."""
    folder = Path(tempfile.gettempdir()) / "distingo-benchmark-fashion-mnist"
    source = DATA / "fashion-mnist"
    images, labels = (
        gzip.decompress((source / f"train-{name}-ubyte.gz").read_bytes()) for name in ("images-idx3", "labels-idx1")
    )
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    classes = np.frombuffer(labels, np.uint8, offset=8)
    for place in np.random.default_rng(0).choice(len(pixels), FASHION_IMAGES, replace=False).tolist():
        target = folder / str(classes[place]) / f"{place}.png"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[place]).save(target)
    return folder


def fit(dataset: Dataset, product: Product, seed: int) -> Fitted:
    split = split_dataset(dataset, seed=seed)
    sides = {name: split.split(name) for name in ("train", "validation", "test")}
    features = {name: gather(product, [image.row_key for image in side]) for name, side in sides.items()}
    targets = {name: encode_labels(side, dataset.classes, dataset.task) for name, side in sides.items()}
    fitted = fit_head(
        "linear",
        (features["train"], targets["train"]),
        (features["validation"], targets["validation"]),
        classes=len(dataset.classes),
        task=dataset.task,
        seed=seed,
    )
    with torch.inference_mode():
        logits = {name: fitted.head(torch.from_numpy(rows)).numpy() for name, rows in features.items()}
    description = ModelDescription(
        "linear", "pretrained", dataset.task, dataset.classes, head="linear", settings=fitted.settings
    )
    held_out, held_targets, folds = calibration_set(description, features, targets, logits["validation"], seed)
    slope, offsets = fit_calibration(held_out, held_targets)
    description = replace(description, calibration=Calibration(slope, tuple(offsets.tolist())))
    bank = build_bank(features["train"], tuple(image.content for image in sides["train"]), unit=True)
    model = SavedModel(description, bank=bank)
    said = to_probabilities(model, held_out)
    if dataset.task == "multi-label":
        thresholds = choose_thresholds(targets["validation"], to_probabilities(model, logits["validation"]))
        model = replace(model, description=replace(description, thresholds=thresholds))
        given = apply_thresholds(said, thresholds)
    else:
        given = np.arange(said.shape[1]) == said.argmax(axis=1)[:, None]
    gathered = build_calibration_set(said, held_targets, given, bank.distances(features["validation"]), folds=folds)
    return Fitted(
        replace(model, calibration_set=gathered),
        sides["test"],
        Outputs(logits["test"], features["test"]),
        held_out,
        held_targets,
        accuracy_of(logits["validation"], targets["validation"]) if dataset.task == "single-label" else 0.0,
    )


def calibration_set(
    description: ModelDescription,
    features: dict[str, np.ndarray],
    targets: dict[str, np.ndarray],
    validation_logits: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Logits, targets and how many models gave them, as `distingo.training.calibration` settles them in a run."""
    together = np.concatenate([targets["train"], targets["validation"]])
    folds = count_folds(len(together), len(targets["validation"]))
    if not folds:
        return validation_logits, targets["validation"], 0
    rows = np.concatenate([features["train"], features["validation"]])
    assigned = deal_folds(together, None, folds=folds, seed=seed)
    logits = cross_fit_head(description, [rows], together, assigned)
    kept = assigned >= 0
    return logits[kept], together[kept], int(assigned.max()) + 1


def accuracy_of(logits: np.ndarray, targets: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == targets).mean())


def log_loss_of(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean cross-entropy of one label for each image."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]).mean())


def adaptive_sets(fitted: Fitted, truth: np.ndarray, wanted: float, *, penalty: float, seed: int) -> dict[str, float]:
    """Coverage and size of APS (penalty 0) or RAPS, with the chance that makes their coverage exact."""
    generator = np.random.default_rng(seed)
    held_out = to_probabilities(fitted.model, fitted.held_out_logits).astype(np.float64)
    scores = _adaptive_scores(held_out, generator.random((len(held_out), 1)), penalty)
    own = np.sort(scores[np.arange(len(held_out)), fitted.held_out_targets])
    threshold = own[min(len(own), int(np.ceil((len(own) + 1) * wanted))) - 1]
    test = to_probabilities(fitted.model, fitted.outputs.logits).astype(np.float64)
    inside = _adaptive_scores(test, generator.random((len(test), 1)), penalty) <= threshold
    return {"covered": float(inside[np.arange(len(test)), truth].mean()), "size": float(inside.sum(axis=1).mean())}


def _adaptive_scores(probabilities: np.ndarray, chance: np.ndarray, penalty: float) -> np.ndarray:
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    ranks = np.arange(1, probabilities.shape[1] + 1)
    scores = ordered.cumsum(axis=1) - chance * ordered + penalty * np.maximum(ranks - 2, 0)
    back = np.empty_like(scores)
    np.put_along_axis(back, order, scores, axis=1)
    return back


def half_and_half(fitted: Fitted, truth: np.ndarray, wanted: float, seed: int) -> dict[str, float]:
    """The same sets with a threshold from half of the test split: images that nothing at all was chosen by."""
    order = np.random.default_rng(seed).permutation(len(truth))
    half, rest = order[: len(truth) // 2], order[len(truth) // 2 :]
    said = to_probabilities(fitted.model, fitted.outputs.logits)
    own = said[half, truth[half]].astype(np.float64)
    threshold = set_threshold(own, np.ones(len(half)), len(half), wanted)
    if threshold is None:
        return {}
    inside = prediction_sets(said[rest], threshold)
    return {"covered": float(inside[np.arange(len(rest)), truth[rest]].mean()), "size": float(inside.sum(1).mean())}


def measure(dataset: Dataset, product: Product, seed: int, others: dict[str, np.ndarray]) -> dict[str, Any]:
    fitted = fit(dataset, product, seed)
    evaluated: Confidence = evaluate_confidence(fitted.model, fitted.test, fitted.outputs)
    content: dict[str, Any] = asdict(evaluated)
    for name in ("curve", "outliers"):
        del content[name]
    for name in ("before", "after"):
        content[name] = content[name]["error"]
    assert evaluated.outliers is not None
    assert fitted.model.bank is not None
    threshold, alarms = ood_threshold(fitted.model)
    content["unlike"] = {"alarms": alarms, "own test split": evaluated.outliers.flagged / evaluated.n}
    for name, features in others.items():
        content["unlike"][name] = float((fitted.model.bank.distances(features) > threshold).mean())
    content["slope"] = fitted.model.description.calibration.slope if fitted.model.description.calibration else None
    if dataset.task == "single-label":
        truth = encode_labels(fitted.test, dataset.classes, dataset.task)
        content["accuracy"] = accuracy_of(fitted.outputs.logits, truth)
        content["validation_accuracy"] = fitted.validation_accuracy
        content["log_loss_before"] = log_loss_of(fitted.outputs.logits, truth)
        calibrated = to_probabilities(fitted.model, fitted.outputs.logits).astype(np.float64)
        content["log_loss_after"] = float(-np.log(calibrated[np.arange(len(truth)), truth]).mean())
        for at in content["sets"]:
            at["adaptive"] = adaptive_sets(fitted, truth, at["wanted"], penalty=0.0, seed=seed)
            at["regularised"] = adaptive_sets(fitted, truth, at["wanted"], penalty=0.1, seed=seed)
            at["untouched"] = half_and_half(fitted, truth, at["wanted"], seed)
    return content


def sum_up(runs: list[dict[str, Any]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"splits": len(runs), "test_pictures": runs[0]["n"], "validation": runs[0]["validation"]}
    for name in ("accuracy", "validation_accuracy", "slope", "log_loss_before", "log_loss_after"):
        if name in runs[0]:
            summary[name] = _mean([run[name] for run in runs])
    for name in ("before", "after"):
        summary[f"calibration_error_{name}"] = _mean([run[name]["value"] for run in runs])
    summary["area_under_risk_coverage"] = _mean([run["area"]["value"] for run in runs])
    summary["sets"] = [_sum_up_sets([run["sets"][place] for run in runs]) for place in range(len(runs[0]["sets"]))]
    summary["answers"] = [
        _sum_up_answers([run["answers"][place] for run in runs]) for place in range(len(runs[0]["answers"]))
    ]
    summary["unlike"] = {name: _mean([run["unlike"][name] for run in runs]) for name in runs[0]["unlike"]}
    return summary


def _sum_up_sets(runs: list[dict[str, Any]]) -> dict[str, Any]:
    known = [run for run in runs if run["covered"] is not None]
    summary: dict[str, Any] = {"wanted": runs[0]["wanted"], "splits": len(known)}
    if known:
        covered = [run["covered"]["value"] for run in known]
        summary |= {"covered": _mean(covered), "spread": round(statistics.pstdev(covered), 4)}
        summary |= {name: _mean([run[name] for run in known]) for name in ("size", "empty")}
        for kind in ("adaptive", "regularised", "untouched"):
            found = [run[kind] for run in known if run.get(kind)]
            if found:
                summary[kind] = {name: _mean([run[name] for run in found]) for name in ("covered", "size")}
    return summary


def _sum_up_answers(runs: list[dict[str, Any]]) -> dict[str, Any]:
    known = [run for run in runs if run["error"] is not None]
    summary: dict[str, Any] = {"wanted": runs[0]["wanted"], "splits": len(known)}
    if known:
        errors = [run["error"]["value"] for run in known]
        summary |= {"answered": _mean([run["answered"] for run in known]), "wrong": _mean(errors)}
        summary["above_wanted"] = sum(error > runs[0]["wanted"] for error in errors)
    return summary


def _mean(values: list[float]) -> float:
    return round(statistics.mean(values), 5)


_OPENED: dict[str, Any] = {}


def measure_split(names: list[str], name: str, seed: int, keep: Path | None) -> dict[str, Any]:
    """One split, in a process of its own; one that was measured before is read from `keep`."""
    kept = keep / f"{name}-{seed}.json" if keep else None
    if kept and kept.is_file():
        return dict(json.loads(kept.read_text()))
    if not _OPENED:
        product, datasets = open_sets(names)
        embedded = {each: gather(product, [p.row_key for p in data.images]) for each, data in datasets.items()}
        _OPENED.update(product=product, datasets=datasets, embedded=embedded)
    others = {other: features for other, features in _OPENED["embedded"].items() if other != name}
    content = measure(_OPENED["datasets"][name], _OPENED["product"], seed, others)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(content))
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SETS, action="append")
    parser.add_argument("--splits", type=int)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="folder for the splits' own figures, so that a stopped run goes on")
    given = parser.parse_args()
    names = list(SETS) if given.only is None else given.only
    open_sets(names)  # embeds what is not embedded yet, once for all workers
    results = {}
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        running = {
            name: [
                pool.submit(measure_split, names, name, seed, given.keep)
                for seed in range(given.splits or SETS[name][1])
            ]
            for name in names
        }
        for name, splits in running.items():
            results[name] = sum_up([split.result() for split in splits])
            print(name, json.dumps(results[name], indent=1), flush=True)
    if given.only is None and given.splits is None:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        RESULTS.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
