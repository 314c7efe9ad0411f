"""The mistakes that a model of several labels was surest of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from distingo.report.label_predictions import LabelPredictions

MOST_SHOWN = 16
MOST_OF_A_LABEL = 3
"""Else the rarest label, which is always denied most firmly, would fill the page."""


@dataclass(frozen=True, slots=True)
class LabelMistake:
    """A label that was given and is not there, or is there and was not given.

    Attributes:
        file: The picture.
        label: The label.
        probability: What the model said of it.
        truth: The picture's labels.
    """

    file: str
    label: str
    probability: float
    truth: tuple[str, ...]


def surest_mistakes(predictions: LabelPredictions, *, missed: bool) -> tuple[LabelMistake, ...]:
    """Choose the mistakes of one kind that the model was surest of.

    Args:
        predictions: Of all judged pictures.
        missed: Whether the label is there and was denied, the least probable first; else it was given and is not
            there, the most probable first.

    Returns:
        At most `MOST_SHOWN`: each picture once, each label at most `MOST_OF_A_LABEL` times.
    """
    truth, given = predictions.truth, predictions.given
    rows, columns = np.nonzero(truth & ~given if missed else given & ~truth)
    chances = predictions.probabilities[rows, columns]
    chosen: list[LabelMistake] = []
    seen: set[int] = set()
    times: Counter[int] = Counter()
    for at in np.argsort(chances if missed else -chances, kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if row in seen or times[column] == MOST_OF_A_LABEL:
            continue
        seen.add(row)
        times[column] += 1
        chosen.append(
            LabelMistake(
                predictions.files[row], predictions.labels[column], float(chances[at]), predictions.labels_of(row)
            )
        )
        if len(chosen) == MOST_SHOWN:
            break
    return tuple(chosen)
