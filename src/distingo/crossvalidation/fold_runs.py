"""One fold: train on the others, predict the fold's pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from distingo.crossvalidation.folder import FoldResult, write_fold
from distingo.datasets.store import Cache
from distingo.evaluation.judging import MODEL
from distingo.models.machine import choose_precision
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.device import choose_device
from distingo.prediction.inputs import input_product
from distingo.records import Split
from distingo.run_folder import RunFolder
from distingo.training.baselines import BASELINES, fit_baseline
from distingo.training.preparing import ChosenRun, TrainRequest
from distingo.training.run import train_model

_ONE_FOREST = threading.Lock()
"""A forest takes all processors, and scikit-learn's threads lose the filters of warnings where two forests grow."""


@dataclass(frozen=True, slots=True)
class FinishedFold:
    """A fold with what became of it.

    Attributes:
        repeat: Which division, from 1.
        number: Which fold of it, from 1.
        split: The fold is the test side.
        result: Its predictions.
    """

    repeat: int
    number: int
    split: Split
    result: FoldResult


def run_fold(chosen: ChosenRun, request: TrainRequest, split: Split, folder: RunFolder) -> FoldResult:
    """Train a model and its baselines on one fold's training side and predict its test side.

    Args:
        chosen: Recipe and pictures.
        request: Says where the cache is.
        split: The fold is the test side.
        folder: A network's checkpoints are written there; one that is there already is gone on from.

    Returns:
        What the fold leaves behind; it is written down too.
    """
    begun = time.perf_counter()
    prepared = chosen.prepare(folder, split)
    request = replace(request, resume=True)
    models = {MODEL: train_model(prepared, request)}
    for name in BASELINES[chosen.dataset.task]:
        if name != chosen.recipe.model:
            with _ONE_FOREST:
                models[name] = fit_baseline(name, prepared, request)
    probabilities = _predict(models, split, request.cache, chosen.recipe.device)
    several = chosen.dataset.task == "multi-label"
    thresholds = {name: model.description.require_thresholds() for name, model in models.items()} if several else {}
    seconds = time.perf_counter() - begun
    result = FoldResult(len(split.train), len(split.validation), seconds, probabilities, thresholds)
    write_fold(folder, result)
    return result


def _predict(models: Mapping[str, SavedModel], split: Split, cache: Cache, device_name: str) -> dict[str, np.ndarray]:
    device = choose_device(device_name)
    precision = choose_precision(device)[0]
    contents = [picture.row_key for picture in split.test]
    return {
        name: predict_probabilities(
            model, input_product(model, cache, device).store.rows(contents), device=device, precision=precision
        )
        for name, model in models.items()
    }
