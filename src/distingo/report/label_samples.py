"""Pictures with their true labels and what the model said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distingo.report.label_predictions import LabelPredictions
from distingo.report.selection import spread_evenly

MOST_SHOWN = 24
MOST_SAID = 3


@dataclass(frozen=True, slots=True)
class SaidLabel:
    """One of a picture's most probable labels.

    Attributes:
        label: The label.
        probability: What the model said of it.
        threshold: From where on it is given.
        given: Whether it was.
        right: Whether it is there.
    """

    label: str
    probability: float
    threshold: float
    given: bool
    right: bool


@dataclass(frozen=True, slots=True)
class LabelSample:
    """A picture beside what was said.

    Attributes:
        file: The picture.
        truth: Its labels, each with whether it was given.
        said: The most probable labels, most probable first.
    """

    file: str
    truth: tuple[tuple[str, bool], ...]
    said: tuple[SaidLabel, ...]


def show_samples(predictions: LabelPredictions, thresholds: Sequence[float]) -> tuple[LabelSample, ...]:
    """Choose pictures evenly from the judged ones, whatever was said of them.

    Args:
        predictions: Of all judged pictures.
        thresholds: One per label.

    Returns:
        At most `MOST_SHOWN` samples, by file name.
    """
    by_name = sorted(range(len(predictions.files)), key=lambda row: predictions.files[row])
    return tuple(_sample(predictions, row, thresholds) for row in spread_evenly(by_name, MOST_SHOWN))


def _sample(predictions: LabelPredictions, row: int, thresholds: Sequence[float]) -> LabelSample:
    chances, given, truth = predictions.probabilities[row], predictions.given[row], predictions.truth[row]
    return LabelSample(
        file=predictions.files[row],
        truth=tuple((predictions.labels[column], bool(given[column])) for column in np.flatnonzero(truth)),
        said=tuple(
            SaidLabel(
                label=predictions.labels[column],
                probability=float(chances[column]),
                threshold=thresholds[column],
                given=bool(given[column]),
                right=bool(truth[column]),
            )
            for column in np.argsort(-chances, kind="stable")[:MOST_SAID]
        ),
    )
