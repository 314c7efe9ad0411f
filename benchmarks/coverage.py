"""How often 95 % intervals hold the true score: test sets drawn from populations whose scores are known.

For one label per image: 2 to 50 classes, balanced and down to 5 images of the rarest, accuracy 0.6 to 0.995, 30 to
5,000 images. For several labels: 2 to 50 labels, down to 5 positives. Each cell of this grid draws test sets, scores
each with distingo's own functions and counts how often the interval of every score holds the population's. A cell in
which most draws say "too few images" shows that instead. In the others the intervals should hold in 93 to 97 of 100
draws.

    python benchmarks/coverage.py [--draws 2000] [--seconds 6] [--quick] [--output results/coverage.json]

A cell stops after its seconds; its draws are stated.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: arrays are small, and threads would only wait
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from distingo.metrics.calibration import evaluate_calibration, risk_coverage
from distingo.metrics.conformal import PredictedLabels
from distingo.metrics.intervals import mean_score, proportion
from distingo.metrics.multi_label import multi_label_scores
from distingo.metrics.paired import paired_difference
from distingo.metrics.paired_scores import macro_f1_difference
from distingo.metrics.single_label import _confusion_scores, class_intervals
from distingo.scores import Score

SIZES = (30, 100, 300, 1000, 5000)
ACCURACIES = (0.6, 0.8, 0.9, 0.95, 0.98, 0.995)
BAND = (0.93, 0.97)
TWO_CLASSES = {"first": 0, "rarest": -1}
PROPORTIONS = ("accuracy", "top_k_accuracy", "exact_match")
Draw = Callable[[np.random.Generator], dict[str, tuple[float, Score]]]


@dataclass(frozen=True, slots=True)
class Cell:
    """What is drawn: `kind` is ``classes``, ``confidence`` or ``labels``."""

    kind: str
    n: int
    classes: int
    accuracy: float
    balanced: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """One score in one cell.

    Attributes:
        cell: Where.
        score: Which.
        draws: Test sets; None where the coverage was computed from the binomial distribution, without chance.
        covered: Share of intervals that hold the true score, of the draws that show one.
        above: Share of them that lie above it.
        below: Share of them that lie below it.
        too_few: Share of draws that show "too few images" in place of an interval.
    """

    cell: Cell
    score: str
    draws: int | None
    covered: float
    above: float
    below: float
    too_few: float

    @property
    def outcome(self) -> str:
        """``too few``, ``held`` or ``missed``."""
        if self.too_few >= 0.5:
            return "too few"
        return "held" if BAND[0] <= self.covered <= BAND[1] else "missed"

    @property
    def is_off(self) -> bool:
        """Whether coverage is outside the band by more than the chance of so few draws (two standard errors)."""
        if self.draws is None:
            return self.outcome == "missed"
        error = 2 * (0.95 * 0.05 / max(1.0, self.draws * (1 - self.too_few))) ** 0.5
        return self.too_few < 0.5 and not BAND[0] - error <= self.covered <= BAND[1] + error


def cells(*, quick: bool) -> Iterator[Cell]:
    """The grid; a corner of it where it should be quick."""
    sizes = (100, 1000) if quick else SIZES
    accuracies = (0.8, 0.95) if quick else ACCURACIES
    for n in sizes:
        for accuracy in accuracies:
            for classes in (10,) if quick else (2, 5, 10, 50):
                for balanced in (True, False):
                    yield Cell("classes", n, classes, accuracy, balanced)
            yield Cell("confidence", n, 2, accuracy, balanced=True)
        for labels in (10,) if quick else (2, 10, 50):
            for balanced in (True, False):
                yield Cell("labels", n, labels, 0.9, balanced)


def measure(job: tuple[Cell, int, float]) -> list[Coverage]:
    """Draw test sets until there are enough, or the time is up."""
    cell, draws, seconds = job
    generator = np.random.default_rng([cell.n, cell.classes, round(cell.accuracy * 1000), cell.balanced])
    draw = {"classes": _classes, "confidence": _confidence, "labels": _labels}[cell.kind](cell, generator)
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    truths: dict[str, float] = {}
    started, done = time.process_time(), 0
    while done < draws and (done < 50 or time.process_time() - started < seconds):
        for name, (truth, score) in draw(generator).items():
            truths[name] = truth
            outcomes[name][_outcome(truth, score)] += 1
        done += 1
    return [
        _exact(cell, name, truths[name]) if name in PROPORTIONS else _coverage(cell, name, counts)
        for name, counts in outcomes.items()
    ]


def _exact(cell: Cell, name: str, truth: float) -> Coverage:
    """Of a proportion: all numbers of right images, by their binomial probabilities, in place of draws."""
    from scipy.stats import binom

    shares: dict[str, float] = defaultdict(float)
    for right, chance in enumerate(binom.pmf(np.arange(cell.n + 1), cell.n, truth).tolist()):
        if chance > 1e-12:
            shares[_outcome(truth, proportion(right, cell.n))] += chance
    shown = max(1e-9, 1 - shares["too few"])
    each = (shares[which] / shown for which in ("covered", "above", "below"))
    return Coverage(cell, name, None, *each, shares["too few"])


def _outcome(truth: float, score: Score) -> str:
    if score.too_few:
        return "too few"
    tolerance = 1e-12
    return "above" if truth < score.low - tolerance else "below" if truth > score.high + tolerance else "covered"


def _coverage(cell: Cell, name: str, counts: Counter[str]) -> Coverage:
    draws = counts.total()
    shown = max(1, draws - counts["too few"])
    shares = (counts[which] / shown for which in ("covered", "above", "below"))
    return Coverage(cell, name, draws, *shares, counts["too few"] / draws)


def _classes(cell: Cell, generator: np.random.Generator) -> Draw:
    """Confusions of two models of one kind: each class has its own error and is taken for some classes more often."""
    shares = _shares(cell)
    tables = [_confusion(cell, shares, generator) for _ in range(2)]
    joint = np.einsum("a,ab,ac->abc", shares, *(table / table.sum(axis=1, keepdims=True) for table in tables)).ravel()
    truths = _averages(tables[0])
    f1_apart = truths["f1_macro"] - _averages(tables[1])["f1_macro"]
    edges = joint.cumsum()

    def draw(generator: np.random.Generator) -> dict[str, tuple[float, Score]]:
        numbers = np.minimum(np.searchsorted(edges, generator.random(cell.n) * edges[-1]), joint.size - 1)
        truth, first, second = np.unravel_index(numbers, (cell.classes,) * 3)
        flat = np.bincount(truth * cell.classes + first, minlength=cell.classes**2)
        confusion = flat.reshape(cell.classes, cell.classes)
        scores = _confusion_scores(confusion) | _of_two_classes(confusion)
        found = {name: (truths[name], score) for name, score in scores.items() if name != "recall_weighted"}
        paired = paired_difference(first == truth, second == truth)
        apart = truths["accuracy"] - _averages(tables[1])["accuracy"]
        found["accuracy_difference"] = apart, Score(paired.difference, paired.low, paired.high, cell.n, paired.too_few)
        if cell.classes <= 10:
            both = macro_f1_difference(truth, first, second, cell.classes)
            found["f1_difference"] = f1_apart, both
        return found

    return draw


def _of_two_classes(confusion: np.ndarray) -> dict[str, Score]:
    """The scores of the most frequent class and of the rarest, those that some image says something about."""
    each = list(class_intervals(confusion, [str(number) for number in range(len(confusion))]).values())
    return {
        f"{name}_of_{which}_class": score
        for which, number in TWO_CLASSES.items()
        for name, score in each[number].items()
    }


def _shares(cell: Cell) -> np.ndarray:
    """How frequent each class is; where they are not balanced, falling evenly down to 5 images."""
    if cell.balanced:
        return np.full(cell.classes, 1 / cell.classes)
    least, low, high = min(5 / cell.n, 1 / cell.classes), 1e-9, 1.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        shares = np.geomspace(1, middle, cell.classes)
        low, high = (middle, high) if shares[-1] / shares.sum() < least else (low, middle)
    return shares / shares.sum()


def _confusion(cell: Cell, shares: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    errors = generator.gamma(4, 0.25, cell.classes)
    errors = np.clip(errors * (1 - cell.accuracy) / (shares @ errors), 0, 0.95)
    taken_for = generator.dirichlet(np.full(cell.classes, 0.7), cell.classes) + 1e-6
    np.fill_diagonal(taken_for, 0)
    taken_for /= taken_for.sum(axis=1, keepdims=True)
    table = shares[:, None] * (np.diag(1 - errors) + taken_for * errors[:, None])
    return table / table.sum()


def _averages(table: np.ndarray) -> dict[str, float]:
    """The population's scores, written out here so that they do not depend on what is tested."""
    right, true, said = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    precision, recall, f1 = right / said, right / true, 2 * right / (true + said)
    scores = {"accuracy": right.sum(), "balanced_accuracy": recall.mean()}
    for name, each in (("precision", precision), ("recall", recall), ("f1", f1)):
        scores |= {f"{name}_macro": each.mean(), f"{name}_weighted": true @ each}
        scores |= {f"{name}_of_{which}_class": each[number] for which, number in TWO_CLASSES.items()}
    return {name: float(score) for name, score in scores.items()}


def _confidence(cell: Cell, _: np.random.Generator) -> Draw:
    """A probability for each answer: well calibrated ones, and ones that are too sure by a known amount."""
    spread = cell.accuracy * 3, (1 - cell.accuracy) * 3

    def of(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        true = np.clip(generator.beta(*spread, n), 1e-4, 1 - 1e-4)
        right = generator.random(n) < true
        said = true**0.7 / (true**0.7 + (1 - true) ** 0.7)
        return true, said, right

    from scipy.special import betaincinv

    # evenly spaced quantiles in place of draws, so that the truth is not itself uncertain
    true = np.clip(betaincinv(*spread, (np.arange(200_000) + 0.5) / 200_000), 1e-4, 1 - 1e-4)
    accuracy = float(true.mean())
    loss = float(-(true * np.log(true) + (1 - true) * np.log(1 - true)).mean())
    order = np.argsort(-true)
    area = float((np.cumsum(1 - true[order]) / np.arange(1, true.size + 1)).mean())
    turn = 0

    def draw(generator: np.random.Generator) -> dict[str, tuple[float, Score]]:
        nonlocal turn
        turn += 1
        true, said, right = of(generator, cell.n)
        owners = np.arange(cell.n)
        found = {
            "log_loss": (loss, mean_score(-np.log(np.where(right, true, 1 - true)), mistakes=int((~right).sum()))),
            "top_k_accuracy": (accuracy, proportion(int(right.sum()), cell.n)),
            "area_under_risk_coverage": (area, risk_coverage(PredictedLabels(owners, true, right), cell.n).area),
        }
        if cell.n >= 100 and turn % 3 == 1:  # the slowest
            found["calibration_error"] = (_gap(said, true), evaluate_calibration(said, right, draws=300).error)
        return found

    return draw


def _gap(said: np.ndarray, true: np.ndarray) -> float:
    """The distance between said and true probabilities in the bins of the calibration error."""
    bins = int(np.clip(said.size // 20, 1, 15))
    places = np.searchsorted(np.sort(said), said) * bins // said.size
    gaps = np.bincount(places, said - true, bins)
    return float(np.abs(gaps).sum() / said.size)


def _labels(cell: Cell, generator: np.random.Generator) -> Draw:
    """Two models of labels down to 5 positives: normal scores, labels of one image correlated."""
    labels = cell.classes
    rarest = max(20 if cell.balanced else 5, 5) / cell.n
    prevalence = np.geomspace(min(0.4, rarest), 0.4, labels)
    apart = generator.uniform(0.8, 2.5, labels)
    cuts = np.full(labels, 0.5)
    names = tuple(map(str, range(labels)))

    def of(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        truth = generator.random((n, labels)) < prevalence
        shared = generator.normal(size=(n, 1))
        values = 0.9 * generator.normal(size=(n, labels)) + 0.19**0.5 * shared + truth * apart
        logits = values * apart - apart**2 / 2 + np.log(prevalence / (1 - prevalence))
        return truth, 1 / (1 + np.exp(-logits))

    population = multi_label_scores(*of(generator, 100_000), cuts, names)
    truths = {name: score.value for name, score in population.scores.items()}
    macro = _of_labels(prevalence, apart)
    each = macro["mean_average_precision_macro"]

    def draw(generator: np.random.Generator) -> dict[str, tuple[float, Score]]:
        truth, chances = of(generator, cell.n)
        scored = multi_label_scores(truth, chances, cuts, names)
        kept = truth.sum(axis=0) >= 5
        found = {
            name: (float(macro[name][kept].mean()) if name in macro else truths[name], score)
            for name, score in scored.scores.items()
            if name in truths
        }
        if truth[:, 0].any():
            found["average_precision_of_rarest"] = each[0], scored.per_label[0].average_precision
        return found

    return draw


def _of_labels(prevalence: np.ndarray, apart: np.ndarray) -> dict[str, np.ndarray]:
    """Each label's true scores, (labels,), from the normal distributions themselves."""
    from scipy.special import ndtr

    grid = np.linspace(-8, 12, 40_001)[:, None]
    density = np.exp(-((grid - apart) ** 2) / 2) / np.sqrt(2 * np.pi) * (grid[1] - grid[0])
    found, false = prevalence * ndtr(apart - grid), (1 - prevalence) * ndtr(-grid)
    cut = apart / 2 - np.log(prevalence / (1 - prevalence)) / apart
    right, wrong = prevalence * ndtr(apart - cut), (1 - prevalence) * ndtr(-cut)
    f1 = 2 * right / (right + wrong + prevalence)
    return {
        "mean_average_precision_macro": (found / np.maximum(found + false, 1e-300) * density).sum(axis=0),
        "precision_macro": right / (right + wrong),
        "recall_macro": right / prevalence,
        "f1_macro": f1,
        "f1_macro_at_half": f1,
    }


def shares(found: list[Coverage]) -> dict[str, dict[str, int]]:
    """How many cells hold, are shown, show too few images and are off by more than chance, by score and of all."""
    counts = {}
    for name in [*sorted({entry.score for entry in found}), "all"]:
        own = [entry for entry in found if name in (entry.score, "all")]
        outcomes = Counter(entry.outcome for entry in own)
        few, held = outcomes["too few"], outcomes["held"]
        off = sum(entry.is_off for entry in own)
        counts[name] = {"held": held, "shown": len(own) - few, "too_few": few, "off": off}
    return counts


def summary(found: list[Coverage]) -> str:
    """A line for each score: cells that hold, that show too few images, that are off by more than chance; misses."""
    by_score: dict[str, list[Coverage]] = defaultdict(list)
    for entry in found:
        by_score[entry.score].append(entry)
    heads = f"{'share':>6} {'too few':>8} {'off':>4} {'median':>7} {'above':>6} {'below':>6}"
    lines = [f"{'score':32} {'held':>5} {'of':>4} {heads}"]
    for name, entries in [*sorted(by_score.items()), ("all", found)]:
        shown = [entry for entry in entries if entry.outcome != "too few"]
        held = sum(entry.outcome == "held" for entry in shown)
        off = sum(entry.is_off for entry in shown)
        if not shown:
            lines.append(f"{name:32} {0:>5} {0:>4} {'-':>6} {len(entries):>8}")
            continue
        middle, above, below = (
            float(np.median([getattr(entry, which) for entry in shown])) for which in ("covered", "above", "below")
        )
        share = f"{held / len(shown):.0%}"
        few = len(entries) - len(shown)
        counts = f"{name:32} {held:>5} {len(shown):>4} {share:>6} {few:>8} {off:>4}"
        lines.append(f"{counts} {middle:>7.3f} {above:>6.3f} {below:>6.3f}")
    return "\n".join(lines)


def _kept(results: Path, *, other_than: str | None) -> list[Coverage]:
    """The cells of other kinds that were measured before, where only one kind is measured now."""
    if other_than is None or not results.is_file():
        return []
    rows = json.loads(results.read_text(encoding="utf-8"))["cells"]
    known = [{name: row[name] for name in Coverage.__dataclass_fields__} for row in rows]
    return [Coverage(**{**row, "cell": Cell(**row["cell"])}) for row in known if row["cell"]["kind"] != other_than]


def _rounded(row: dict[str, object]) -> dict[str, object]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="test sets of a cell")
    parser.add_argument("--seconds", type=float, default=6.0, help="at most so long for a cell, of processor time")
    parser.add_argument("--quick", action="store_true", help="a corner of the grid")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "coverage.json")
    parser.add_argument(
        "--kind",
        choices=("classes", "confidence", "labels"),
        help="only cells of this kind; the results keep the others",
    )
    options = parser.parse_args()
    kept = [cell for cell in cells(quick=options.quick) if options.kind in (None, cell.kind)]
    jobs = [(cell, options.draws, options.seconds) for cell in kept]
    with get_context("spawn").Pool(options.workers) as pool:
        found = [entry for part in pool.imap_unordered(measure, jobs) for entry in part]
    found = [*_kept(options.output, other_than=options.kind), *found]
    print(summary(found))
    rows = [_rounded(asdict(entry)) | {"outcome": entry.outcome, "is_off": entry.is_off} for entry in found]
    head = json.dumps({"band": BAND, "shares": shares(found)}, indent=1).removesuffix("\n}")
    cells_of_json = ",\n  ".join(json.dumps(row) for row in rows)  # a line each: there are thousands
    options.output.write_text(f'{head},\n "cells": [\n  {cells_of_json}\n ]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
