"""Scoring of probabilities against true labels, for single-label and multi-label tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from distingo.datasets.targets import encode_labels
from distingo.messages.notes import Note, name_first, note
from distingo.metrics.multi_label import MultiLabelScores, multi_label_scores
from distingo.metrics.paired import paired_difference
from distingo.metrics.single_label import classification_scores, confusion_matrix, per_class_scores
from distingo.models.description import ModelDescription
from distingo.records import Evaluation, LabeledImage, Score

MODEL = "model"
"""Key of the evaluated model in mappings that also contain its baselines."""


def evaluate(
    images: Sequence[LabeledImage],
    models: Mapping[str, ModelDescription],
    probabilities: Mapping[str, np.ndarray],
    notes: tuple[Note, ...] = (),
    *,
    cuts: Mapping[str, np.ndarray] | None = None,
) -> Evaluation:
    """Score a model and its baselines.

    Args:
        images: n images with their true labels.
        models: The model under the key `MODEL`, and its baselines by name.
        probabilities: Probabilities by the same names, float32 (n, classes).
        notes: Notes for the reader of the scores.
        cuts: Multi-label: thresholds per image, float64 (n, classes), by the same names, if the images were evaluated
            by models with different thresholds.

    Returns:
        The scores of the test split. Multi-label scores use the thresholds stored with each model unless `cuts` is
        given.
    """
    if models[MODEL].task == "single-label":
        return _judge_classes(images, models[MODEL].classes, probabilities, notes)
    values = {name: np.asarray(model.require_thresholds().values) for name, model in models.items()}
    return _judge_labels(images, models, probabilities, notes, cuts or values)


def _judge_classes(
    images: Sequence[LabeledImage],
    classes: tuple[str, ...],
    probabilities: Mapping[str, np.ndarray],
    notes: tuple[Note, ...],
) -> Evaluation:
    truth = encode_labels(images, classes, "single-label")
    scores = {name: classification_scores(truth, array, classes) for name, array in probabilities.items()}
    right = {name: array.argmax(axis=1) == truth for name, array in probabilities.items()}
    confusion = confusion_matrix(truth, probabilities[MODEL].argmax(axis=1), len(classes))
    return Evaluation(
        split="test",
        n=len(images),
        classes=classes,
        scores=scores.pop(MODEL),
        per_class=per_class_scores(confusion, classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        baselines=scores,
        notes=(*notes, *_predicted_in_vain(confusion, classes)),
        accuracy_gains={name: _gain(right[MODEL], other) for name, other in right.items() if name != MODEL},
    )


def _gain(right: np.ndarray, baseline_right: np.ndarray) -> Score:
    paired = paired_difference(right, baseline_right)
    return Score(paired.difference, paired.low, paired.high, paired.n, paired.too_few)


def _predicted_in_vain(confusion: np.ndarray, classes: tuple[str, ...]) -> tuple[Note, ...]:
    names = [
        name
        for name, true, predicted in zip(classes, confusion.sum(axis=1), confusion.sum(axis=0), strict=True)
        if predicted and not true
    ]
    if not names:
        return ()
    return (note("predicted-without-image", names=name_first(names, 5)),)


def _judge_labels(
    images: Sequence[LabeledImage],
    models: Mapping[str, ModelDescription],
    probabilities: Mapping[str, np.ndarray],
    notes: tuple[Note, ...],
    cuts: Mapping[str, np.ndarray],
) -> Evaluation:
    description = models[MODEL]
    truth = encode_labels(images, description.classes, "multi-label")
    evaluated: dict[str, MultiLabelScores] = {
        name: multi_label_scores(truth, array, cuts[name], description.classes) for name, array in probabilities.items()
    }
    own = evaluated.pop(MODEL)
    return Evaluation(
        split="test",
        n=len(images),
        classes=description.classes,
        scores=own.scores,
        per_class=(),
        confusion=(),
        baselines={name: result.scores for name, result in evaluated.items()},
        notes=(*notes, *_unlabeled(truth)),
        task="multi-label",
        per_label=own.per_label,
        left_out=own.left_out,
        thresholds=description.require_thresholds(),
    )


def _unlabeled(truth: np.ndarray) -> tuple[Note, ...]:
    count = int((~truth.any(axis=1)).sum())
    return (note("images-unlabelled", count=count, total=len(truth)),) if count else ()
