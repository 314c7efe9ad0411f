"""What benchmarks count, and that documents state what they found."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "coverage_posters.json"
ROWS = {
    "mean average precision, macro, micro": ("mean_average_precision_macro", "mean_average_precision_micro"),
    "F1, macro, micro, samples": ("f1_macro", "f1_micro", "f1_samples"),
    "precision, macro, micro": ("precision_macro", "precision_micro"),
    "recall, macro, micro": ("recall_macro", "recall_micro"),
    "a right label among the top 1, top 3": ("top_1_hit", "top_3_hit"),
    "label-ranking average precision, coverage error": ("label_ranking_average_precision", "coverage_error"),
    "Hamming loss, label accuracy": ("hamming_loss", "label_accuracy"),
    "log loss, exact match": ("log_loss", "exact_match"),
}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = ROOT / "benchmarks" / "coverage_posters.py"
    specification = importlib.util.spec_from_file_location("coverage_posters", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["coverage_posters"] = module  # its dataclasses look themselves up there
    specification.loader.exec_module(module)
    return module


def test_every_sample_is_counted_once_and_intervals_hold_the_population(benchmark: ModuleType) -> None:
    generator = np.random.default_rng(0)
    truth = generator.random((400, 3)) < (0.2, 0.4, 0.6)
    chances = np.clip(0.3 * truth + 0.7 * generator.random((400, 3)), 0, 1).astype(np.float32)
    population = benchmark.Population(truth, chances, np.full(3, 0.5), ("a", "b", "c"))
    found = benchmark.count_coverage(population, draws=40, images=200, seed=1)
    assert found == benchmark.count_coverage(population, draws=40, images=200, seed=1)
    whole = population.score(np.arange(400)).scores
    for name, entry in found.items():
        assert entry.truth == whole[name].value
        assert entry.shown + round(entry.too_few * 40) == 40
        if entry.shown:
            assert entry.covered + entry.above + entry.below == pytest.approx(1, abs=2e-4)
            assert entry.covered >= 0.8
    assert found["mean_average_precision_macro"].shown == 40


def test_each_label_has_its_own_scores_in_the_population(benchmark: ModuleType) -> None:
    truth = np.zeros((300, 2), bool)
    truth[::2, 0] = True
    truth[:3, 1] = True
    chances = np.where(truth, 0.9, 0.1).astype(np.float32)
    chances[:3, 1] = 0.05
    population = benchmark.Population(truth, chances, np.full(2, 0.5), ("often", "rare"))
    assert population.by_label()["recall_macro"].tolist() == [1.0, 0.0]
    assert population.by_label()["f1_macro"].tolist() == [1.0, 0.0]


def test_the_document_states_what_was_found_on_posters() -> None:
    scores = json.loads(RESULT.read_text(encoding="utf-8"))["scores"]
    text = (ROOT / "docs" / "intervals.md").read_text(encoding="utf-8")
    for row, names in ROWS.items():
        cells = (", ".join(f"{scores[name][which]:.1%}".replace("%", " %") for name in names) for which in SHARES)
        assert f"| {row} | {' | '.join(cells)} |" in text


SHARES = ("covered", "above", "below")
