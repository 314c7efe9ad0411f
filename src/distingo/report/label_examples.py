"""Pictures with their true labels and what the model said.

The mistakes that a model of several labels was surest of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distingo.report.selection import spread_evenly
from distingo.runs.predictions import Predicted

MOST_SAMPLES = 24

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


def show_samples(predictions: Predicted, thresholds: Sequence[float]) -> tuple[LabelSample, ...]:
    """Choose pictures evenly from the judged ones, whatever was said of them.

    Args:
        predictions: Of all judged pictures.
        thresholds: One per label.

    Returns:
        At most `MOST_SHOWN` samples, by file name.
    """
    by_name = sorted(range(len(predictions.files)), key=lambda row: predictions.files[row])
    return tuple(_sample(predictions, row, thresholds) for row in spread_evenly(by_name, MOST_SAMPLES))


def _sample(predictions: Predicted, row: int, thresholds: Sequence[float]) -> LabelSample:
    chances, given, truth = predictions.probabilities[row], predictions.said[row], predictions.truth[row]
    return LabelSample(
        file=predictions.files[row],
        truth=tuple((predictions.classes[column], bool(given[column])) for column in np.flatnonzero(truth)),
        said=tuple(
            SaidLabel(
                label=predictions.classes[column],
                probability=float(chances[column]),
                threshold=thresholds[column],
                given=bool(given[column]),
                right=bool(truth[column]),
            )
            for column in np.argsort(-chances, kind="stable")[:MOST_SAID]
        ),
    )


MOST_MISTAKES = 16

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


def surest_mistakes(predictions: Predicted, *, missed: bool) -> tuple[LabelMistake, ...]:
    """Choose the mistakes of one kind that the model was surest of.

    Args:
        predictions: Of all judged pictures.
        missed: Whether the label is there and was denied, the least probable first; else it was given and is not
            there, the most probable first.

    Returns:
        At most `MOST_SHOWN`: each picture once, each label at most `MOST_OF_A_LABEL` times.
    """
    truth, given = predictions.truth, predictions.said
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
                predictions.files[row], predictions.classes[column], float(chances[at]), predictions.labels_of(row)
            )
        )
        if len(chosen) == MOST_MISTAKES:
            break
    return tuple(chosen)
