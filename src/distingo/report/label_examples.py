"""Pictures with their true labels and what the model said.

The mistakes that a model of several labels was surest of.

``predictions.parquet`` of a run with several labels per picture, as arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distingo.errors import RunError
from distingo.files import require_intact
from distingo.report.class_balance import indicate
from distingo.report.selection import spread_evenly

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelPredictions:
    """What was said about every judged picture.

    Attributes:
        labels: Names of the columns.
        files: The n pictures, as in ``split.csv``.
        truth: Bool (n, labels).
        given: Bool (n, labels): the probability reached the label's threshold.
        probabilities: Float32 (n, labels).
    """

    labels: tuple[str, ...]
    files: tuple[str, ...]
    truth: Booleans
    given: Booleans
    probabilities: npt.NDArray[np.float32]

    def labels_of(self, row: int) -> tuple[str, ...]:
        """The true labels of the picture in a row."""
        return tuple(self.labels[column] for column in np.flatnonzero(self.truth[row]))


def read_label_predictions(path: Path, labels: Sequence[str]) -> LabelPredictions | None:
    """Read the predictions of a run with several labels per picture.

    Args:
        path: ``predictions.parquet`` with the columns ``file``, ``truth`` and ``predicted`` (lists of labels) and
            ``probabilities`` (a struct with one field per label).
        labels: All labels, in the order of the evaluation.

    Returns:
        The predictions; None where there is no such file.

    Raises:
        RunError: The file is damaged, or tells of other labels.
    """
    if not path.exists():
        return None
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        require_intact(path)
        table = parquet.read_table(path, columns=["file", "truth", "predicted", "probabilities"])
        struct = table["probabilities"].combine_chunks()
        columns = [np.asarray(struct.field(name).to_pylist(), dtype=np.float32) for name in labels]
        return LabelPredictions(
            labels=tuple(labels),
            files=tuple(table["file"].to_pylist()),
            truth=_indicate(table["truth"].to_pylist(), labels),
            given=_indicate(table["predicted"].to_pylist(), labels),
            probabilities=np.stack(columns, axis=1),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, arrow.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or of other labels ({error}); evaluate the run again", code="damaged_file"
        ) from error


def _indicate(lists: Sequence[Sequence[str]], labels: Sequence[str]) -> Booleans:
    unknown = {name for names in lists for name in names} - set(labels)
    if unknown:
        raise ValueError(f"{min(unknown)!r} is no label of the evaluation")
    return indicate(lists, labels)


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


def show_samples(predictions: LabelPredictions, thresholds: Sequence[float]) -> tuple[LabelSample, ...]:
    """Choose pictures evenly from the judged ones, whatever was said of them.

    Args:
        predictions: Of all judged pictures.
        thresholds: One per label.

    Returns:
        At most `MOST_SHOWN` samples, by file name.
    """
    by_name = sorted(range(len(predictions.files)), key=lambda row: predictions.files[row])
    return tuple(_sample(predictions, row, thresholds) for row in spread_evenly(by_name, MOST_SAMPLES))


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
        if len(chosen) == MOST_MISTAKES:
            break
    return tuple(chosen)
