"""What the calls return is one short line where a person looks at it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distingo
from distingo.experiments.crossval_folder import CrossValidation
from distingo.experiments.curve_measuring import LearningCurve, ScoreCurve
from distingo.experiments.tuning_records import Search, Stage, Trial
from distingo.scores import Score
from tiny_datasets import draw_classes


def short(value: object) -> str:
    """The repr, which is one line of no more than two of a terminal's."""
    line = repr(value)
    assert "\n" not in line
    assert len(line.replace(str(getattr(value, "root", "")), "").replace(str(getattr(value, "file", "")), "")) < 160
    return line


def test_data_sets_divisions_and_checks(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    dataset = distingo.inspect(data)
    count = len(dataset.images)
    assert short(dataset) == (
        f"Dataset({str(data)!r}, {dataset.layout}, 3 classes, {count} usable images of {dataset.file_count} files)"
    )
    division = distingo.split(data, tmp_path / "split.csv")
    train, validation, test = ((division.numbers == at).sum() for at in range(3))
    assert short(division) == f"Division(splits: train {train}, validation {validation}, test {test})"


def test_models(tiny_runs: dict[str, Path]) -> None:
    predictor = distingo.load(tiny_runs["small-cnn"])
    assert short(predictor.model) == "SavedModel('small-cnn', network, 3 classes)"
    assert short(predictor).startswith("Predictor('small-cnn', 3 classes, ")


def test_comparisons_name_the_best(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    comparison = distingo.compare(list(tiny_runs.values()), tmp_path / "comparison")
    best = comparison.best
    assert short(comparison) == (
        f"Comparison(3 runs, n={comparison.n}, best {best.name!r} with accuracy "
        f"{best.evaluation.scores['accuracy'].value:.4g})"
    )


def test_explanations_name_image_and_class(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    image = next(iter(sorted(draw_classes(tmp_path / "data").rglob("*.png"))))
    explanation = distingo.explain(tiny_runs["small-cnn"], image, classes=["red"], neighbors=2)
    assert short(explanation) == f"Explanation({str(image)!r}, of 'red', 2 neighbors)"


def test_what_is_made_of_many_runs() -> None:
    empty: dict[str, Any] = {"data": Path("data"), "task": "single-label", "model": "small-cnn", "notes": ()}
    folds: Any = (SimpleNamespace(),) * 5
    found = CrossValidation(
        **empty,
        root=Path("data"),
        classes=("a", "b"),
        mode="scratch",
        n=90,
        groups=90,
        folds=folds,
        means={"accuracy": Score(0.875, 0.8, 0.95, 90)},
        baseline_means={},
        gains={},
        pooled=SimpleNamespace(),  # type: ignore[arg-type]
        choices=(),
        recipe={},
        seconds=1.0,
    )
    assert short(found) == "CrossValidation('small-cnn', 5 folds, n=90, mean accuracy 0.875 (0.8 to 0.95))"
    sizes: Any = (SimpleNamespace(),) * 4
    curve = LearningCurve(
        **empty,
        score="accuracy",
        class_score="recall",
        n=1200,
        evaluated=90,
        draws=5,
        overall=ScoreCurve("", 90, sizes, (), ()),
        classes=(),
        recipe={},
        seconds=1.0,
    )
    assert short(curve) == "LearningCurve('small-cnn', accuracy at 4 sizes up to 1,200 images)"


def test_searches_name_the_best_trial() -> None:
    trial = Trial(3, "training", {}, "complete", 0.8125, 0.5, (), 1.0)
    stages = (Stage("training", (), (trial,), {}),)
    search = Search("data", "small-cnn", "single-label", "validation_accuracy", 9, 9, 9, stages, {}, {}, trial, False)
    assert short(search) == "Search('small-cnn', 1 trials, best validation_accuracy 0.8125 in trial 3)"
    none = Search("data", "small-cnn", "single-label", "validation_accuracy", 9, 9, 9, (), {}, None, None, False)
    assert short(none) == "Search('small-cnn', 0 trials, none complete)"
