"""Artificial searches for a recipe."""

from __future__ import annotations

import math
from dataclasses import replace

from distingo.experiments.tuning_records import LogRange, Options, Search, Stage, Trial, choose_best

HEADS = (Options("views", ("none", "flip")), Options("head", ("linear", "linear-svm", "prototype", "knn")))
TRAINING = (
    LogRange("lr", 1e-4, 1e-2),
    Options("augment", ("none", "light", "standard")),
    Options("dropout", (None, 0.4)),
)


def build_search(*, data: str = "<b>data</b>") -> Search:
    heads = tuple(
        Trial(place, "head", {"views": "none", "head": head}, "complete", 0.8 + place / 100, 0.5, (), 1.0, place == 1)
        for place, head in enumerate(("linear", "linear-svm", "prototype", "knn"), start=1)
    )
    trained = []
    for number in range(5, 25):
        rate = 10 ** (-4 + (number * 7 % 20) / 10)
        score = 0.9 - abs(math.log10(rate) + 3) / 10 + (number % 3) / 100
        values = {"lr": rate, "augment": ("none", "light", "standard")[number % 3], "dropout": (None, 0.4)[number % 2]}
        pruned = number % 4 == 0
        curve = (score - 0.2, score - 0.1) if pruned else (score - 0.2, score - 0.1, score)
        trained.append(
            Trial(number, "training", values, "pruned" if pruned else "complete", max(curve), 0.4, curve, 12.0)
        )
    broken = Trial(25, "training", trained[0].values, "failed", None, None, (), 0.1, reason="memory <ran> out")
    stages = (
        Stage("head", HEADS, heads),
        Stage("training", TRAINING, (*trained, broken), {"lr": 0.7, "augment": 0.2, "dropout": 0.1}),
    )
    best = choose_best([*heads, *trained])
    default = {"model": "fast", "mode": "frozen", "lr": 1e-3, "augment": "none"}
    recipe = {**default, "mode": "finetune", **(best.values if best else {})}
    return Search(
        data, "fast", "single-label", "validation_accuracy", 600, 150, 200, stages, default, recipe, best, True
    )


def without_trials() -> Search:
    search = build_search()
    stages = tuple(replace(stage, trials=(), importances={}) for stage in search.stages)
    return replace(search, stages=stages, best=None, best_trial=None, is_finished=False)
