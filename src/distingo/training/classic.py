"""Models without epochs: fitted at once, as models of their own and as the baselines beside every network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from distingo.errors import UsageError
from distingo.models.descriptors import fit_descriptors
from distingo.models.majority import fit_majority
from distingo.models.prevalence import fit_prevalence
from distingo.models.saved import ClassicClassifier, ModelDescription, SavedModel


def fit_classic(
    description: ModelDescription,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
) -> SavedModel:
    """Fit ``descriptors``, ``majority`` or ``prevalence``.

    Args:
        description: Its name says which.
        train: Descriptors float32 (n, 52) and targets: int64 (n,), or bool (n, classes) for several labels.
        validation: The same, to choose the classifier by.
        seed: Of classifiers with chance in them.

    Returns:
        The fitted model with its settings filled in.

    Raises:
        UsageError: ``majority`` for several labels, or ``prevalence`` for one.
    """
    classes = len(description.classes)
    several = train[1].ndim == 2
    if description.name in {"majority", "prevalence"} and several != (description.name == "prevalence"):
        other, words = ("prevalence", "several labels") if several else ("majority", "one label")
        raise UsageError(f"--model {description.name}: not for {words} per picture; choose {other}")
    if description.name == "majority":
        classifier: ClassicClassifier = fit_majority(train[1], classes)
    elif description.name == "prevalence":
        classifier = fit_prevalence(train[1])
    else:
        classifier = fit_descriptors(*train, *validation, classes, seed=seed)
    return SavedModel(
        description=replace(description, settings=classifier.settings()),
        classic=classifier,
    )
