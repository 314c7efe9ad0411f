"""``predictions.parquet`` of a run with several labels per picture, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distingo.errors import RunError
from distingo.files import require_intact
from distingo.report.label_counts import indicate

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
        raise RunError(f"{path}: damaged or of other labels ({error}); evaluate the run again") from error


def _indicate(lists: Sequence[Sequence[str]], labels: Sequence[str]) -> Booleans:
    unknown = {name for names in lists for name in names} - set(labels)
    if unknown:
        raise ValueError(f"{min(unknown)!r} is no label of the evaluation")
    return indicate(lists, labels)
