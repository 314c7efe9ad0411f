"""Models without epochs: fitted at once, as models of their own and as the baselines beside every network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from distingo.models.descriptors import fit_descriptors
from distingo.models.majority import fit_majority
from distingo.models.saved import ClassicClassifier, ModelDescription, SavedModel


def fit_classic(
    description: ModelDescription,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
) -> SavedModel:
    """Fit ``descriptors`` or ``majority``.

    Args:
        description: Its name says which.
        train: Descriptors float32 (n, 52) and targets int64 (n,).
        validation: The same, to choose the classifier by.
        seed: Of classifiers with chance in them.

    Returns:
        The fitted model with its settings filled in.
    """
    classes = len(description.classes)
    if description.name == "majority":
        classifier: ClassicClassifier = fit_majority(train[1], classes)
    else:
        classifier = fit_descriptors(*train, *validation, classes, seed=seed)
    return SavedModel(
        description=replace(description, settings=classifier.settings()),
        classic=classifier,
    )
