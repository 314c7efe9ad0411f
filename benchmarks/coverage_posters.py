"""How often 95 % intervals hold the true score on real film posters: samples of a model's own predictions.

`distingo train --model descriptors` learns from 33 % of the posters (1,188: 648 to train, 540 to validate). Its
predictions of the other 2,412 are the population, whose scores are known. Samples of 720 are drawn from it with
replacement, each is scored with distingo's own functions, and the intervals that hold the population's score are
counted. A sample's macro scores leave out labels with fewer than 5 of its posters, and are compared with the
population's scores of the other labels.

    python benchmarks/coverage_posters.py [--draws 1000] [--images 720] [--seed 0] [--output FILE]

The data folder is named by DISTINGO_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: arrays are small, and threads would only wait
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.metrics.multi_label import MultiLabelScores, multi_label_scores
from distingo.models.saved import load_model
from distingo.runs.contents import read_run
from distingo.runs.predictions import read_predicted
from distingo.scores import Score
from distingo.version import __version__

DATA = Path(os.environ.get("DISTINGO_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")).resolve()
SHARE = 0.67
"""Of the posters that are the population."""


@dataclass(frozen=True, slots=True)
class Population:
    """A model's predictions, taken as all images that there are.

    Attributes:
        truth: Bool (n, labels).
        probabilities: Floats (n, labels).
        thresholds: Floats (labels,).
        labels: Their names.
    """

    truth: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float64]
    labels: tuple[str, ...]

    def score(self, rows: npt.NDArray[np.int64]) -> MultiLabelScores:
        """The scores of some of its rows."""
        return multi_label_scores(self.truth[rows], self.probabilities[rows], self.thresholds, self.labels)

    def by_label(self) -> dict[str, npt.NDArray[np.float64]]:
        """By the name of a macro score, the scores of each label in the whole population, (labels,)."""
        whole = np.arange(len(self.truth))
        scored = self.score(whole).per_label
        half = multi_label_scores(self.truth, self.probabilities, np.full(len(self.labels), 0.5), self.labels)
        average = [own.average_precision.value if own.average_precision else 0.0 for own in scored]
        found = {
            "mean_average_precision_macro": average,
            "precision_macro": [own.precision for own in scored],
            "recall_macro": [own.recall for own in scored],
            "f1_macro": [own.f1 for own in scored],
            "f1_macro_at_half": [own.f1 for own in half.per_label],
        }
        return {name: np.array(values, np.float64) for name, values in found.items()}


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of one score's intervals.

    Attributes:
        truth: The population's score; of a macro score the mean over all labels that 5 posters of it have.
        covered: Share of intervals that hold it, of the samples that show one; None where none does.
        above: Share of them that lie above it, likewise.
        below: Share of them that lie below it, likewise.
        shown: In how many samples an interval is shown.
        too_few: Share of samples that show "too few images" in place of an interval.
    """

    truth: float
    covered: float | None
    above: float | None
    below: float | None
    shown: int
    too_few: float


def count_coverage(population: Population, *, draws: int, images: int, seed: int) -> dict[str, Counted]:
    """Draw samples with replacement and count whose intervals hold the population's score, by score."""
    whole = {name: score.value for name, score in population.score(np.arange(len(population.truth))).scores.items()}
    by_label = population.by_label()
    generator = np.random.default_rng(seed)
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for _ in range(draws):
        rows = generator.integers(len(population.truth), size=images)
        kept = population.truth[rows].sum(axis=0) >= MIN_POSITIVES
        for name, score in population.score(rows).scores.items():
            truth = float(by_label[name][kept].mean()) if name in by_label else whole[name]
            outcomes[name][_outcome(truth, score)] += 1
    return {name: _count(whole[name], counts) for name, counts in outcomes.items()}


def _outcome(truth: float, score: Score) -> str:
    if score.too_few:
        return "too few"
    tolerance = 1e-12
    return "above" if truth < score.low - tolerance else "below" if truth > score.high + tolerance else "covered"


def _count(truth: float, counts: Counter[str]) -> Counted:
    shown = counts.total() - counts["too few"]
    covered, above, below = (
        round(counts[which] / shown, 4) if shown else None for which in ("covered", "above", "below")
    )
    return Counted(truth, covered, above, below, shown, round(counts["too few"] / counts.total(), 4))


def learn(folder: Path) -> tuple[Population, dict[str, int]]:
    """Train the model; its predictions of the test split, and how many images each split has."""
    words = [sys.executable, "-m", "distingo", "train", str(DATA / "posters" / "train.csv"), "-o", str(folder)]
    words += ["--model", "descriptors", "--test", str(SHARE), "--seed", "0"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    run = read_run(folder)
    predicted = read_predicted(folder / "predictions.parquet", run.classes)
    assert predicted is not None
    thresholds = load_model(folder / "model").description.require_thresholds()
    population = Population(predicted.truth, predicted.probabilities, np.array(thresholds.values), tuple(run.classes))
    return population, dict(Counter(row.split for row in run.split))


def table(found: dict[str, Counted]) -> str:
    """A line for each score."""

    def cell(share: float | None) -> str:
        return f"{'-':>8}" if share is None else f"{share:>8.1%}"

    lines = [f"{'score':32} {'value':>8} {'covered':>8} {'above':>8} {'below':>8} {'too few':>8}"]
    for name, entry in found.items():
        shares = " ".join(cell(share) for share in (entry.covered, entry.above, entry.below, entry.too_few))
        lines.append(f"{name:32} {entry.truth:>8.4f} {shares}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="samples")
    parser.add_argument("--images", type=int, default=720, help="images of a sample")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "coverage_posters.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        population, splits = learn(Path(folder) / "run")
    found = count_coverage(population, draws=options.draws, images=options.images, seed=options.seed)
    print(table(found))
    record: dict[str, Any] = {
        "distingo": __version__,
        "model": "descriptors",
        "splits": splits,
        "population": len(population.truth),
        "labels": len(population.labels),
        "draws": options.draws,
        "images": options.images,
        "replacement": True,
        "seed": options.seed,
        "scores": {name: asdict(entry) for name, entry in found.items()},
    }
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
