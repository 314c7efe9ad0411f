"""A cross-validation and a learning curve made up for pages, with class names of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from run_folders import HOSTILE

from distingo.experiments.crossval_folder import CrossValidation, FoldScores
from distingo.experiments.curve_measuring import LearningCurve
from distingo.experiments.forecasting import ResampledCurve, forecast
from distingo.messages.notes import text_note
from distingo.metrics.intervals import corrected_mean
from distingo.metrics.single_label import classification_scores, confusion_matrix, per_class_scores
from distingo.records import LabeledImage, Source
from distingo.runs.predictions import write_predictions
from distingo.scores import Evaluation

CLASSES = ("a long name of a class that goes on", "苹果", HOSTILE)
_SIZES = np.array([20.0, 40.0, 80.0, 160.0, 320.0])


def make_cross_validation(folder: Path) -> CrossValidation:
    """Three folds of thirty images, and their predictions in the folder."""
    generator = np.random.default_rng(0)
    truth = np.arange(30) % 3
    chances = np.eye(3)[truth] * 0.3 + generator.uniform(size=(30, 3))
    chances /= chances.sum(axis=1, keepdims=True)
    images = [
        LabeledImage(
            Source(f"{CLASSES[number]}/{at}.png", folder / "gone.png"), (CLASSES[number],), f"{at}", f"{at}", 9, 9
        )
        for at, number in enumerate(truth)
    ]
    folder.mkdir(parents=True)
    write_predictions(folder / "predictions.parquet", images, chances.astype(np.float32), CLASSES)
    confusion = confusion_matrix(truth, chances.argmax(axis=1), 3)
    scores = classification_scores(truth, chances, CLASSES)
    base = classification_scores(truth, np.full((30, 3), 1 / 3), CLASSES)
    pooled = Evaluation(
        split="test",
        n=30,
        classes=CLASSES,
        scores=scores,
        per_class=per_class_scores(confusion, CLASSES),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        baselines={"majority": base},
    )
    values = [0.5, 0.9, 0.8]
    folds = tuple(
        FoldScores(1, fold, 16, 4, 10, 0.2, {"accuracy": value}, {"majority": {"accuracy": 1 / 3}})
        for fold, value in enumerate(values, 1)
    )
    mean = corrected_mean(values, [10] * 3, [20] * 3, n=30, bounds=(0.0, 1.0))
    other = corrected_mean([1 / 3] * 3, [10] * 3, [20] * 3, n=30, bounds=(0.0, 1.0))
    gain = corrected_mean([value - 1 / 3 for value in values], [10] * 3, [20] * 3, n=30, bounds=(-1.0, 1.0))
    return CrossValidation(
        data=Path("Bälle"),
        root=folder,
        task="single-label",
        classes=CLASSES,
        model="small-cnn",
        mode="scratch",
        n=30,
        groups=28,
        folds=folds,
        means={"accuracy": mean},
        baseline_means={"majority": {"accuracy": other}},
        gains={"majority": gain},
        pooled=pooled,
        notes=(text_note("a note"),),
        choices=(text_note("a choice"),),
        recipe={"model": "small-cnn", "seed": 0},
        seconds=1.5,
    )


def make_learning_curve(*, gain: float = 0.1, support: int = 300) -> LearningCurve:
    """Scores that rise by so much from the smallest to the largest size."""
    generator = np.random.default_rng(0)

    def curve(top: float) -> ResampledCurve:
        points = top - gain * (_SIZES / _SIZES[-1]) ** -0.5 / 4
        return ResampledCurve(points, points + generator.normal(scale=0.01, size=(100, 1)))

    factors = np.array([2.0, 5.0])
    classes = tuple(
        forecast(name, support // 3, curve(top), _SIZES, factors)
        for name, top in zip(CLASSES, (0.6, 0.7, 0.8), strict=True)
    )
    return LearningCurve(
        data=Path("Bälle"),
        task="single-label",
        score="accuracy",
        class_score="recall",
        model="fast",
        n=320,
        evaluated=support,
        draws=5,
        overall=forecast("", support, curve(0.7), _SIZES, factors),
        classes=classes,
        notes=(text_note("a note"),),
        recipe={"model": "fast"},
        seconds=2.0,
    )
