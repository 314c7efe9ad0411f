"""``predictions.parquet`` as arrays, for one label per picture and for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.errors import RunError
from distingo.evaluation.reading import RunRecords
from distingo.files import require_intact


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a run says about its test pictures.

    Attributes:
        files: The n pictures, as in ``split.csv``.
        truth: Class numbers int64 (n,); with several labels bool (n, labels).
        said: Likewise what was given: the most probable class, or the labels that reach their thresholds.
        probabilities: Float32 (n, classes).
    """

    files: tuple[str, ...]
    truth: npt.NDArray[Any]
    said: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float32]

    def of(self, files: Sequence[str]) -> Predicted:
        """The same of these pictures, in this order.

        Raises:
            KeyError: One of them was not predicted.
        """
        places = {file: place for place, file in enumerate(self.files)}
        rows = np.array([places[file] for file in files], dtype=np.int64)
        return Predicted(tuple(files), self.truth[rows], self.said[rows], self.probabilities[rows])


def predicted_on(run: RunRecords, files: Sequence[str]) -> Predicted:
    """What a run says about some of its test pictures.

    Args:
        run: Its folder, task, classes and split are looked at.
        files: As in ``split.csv``, in the order that is wanted.

    Raises:
        RunError: The predictions are missing or damaged, or do not go with ``split.csv``.
    """
    found = read_predicted(run)
    labels = {row.file: row.labels for row in run.split}
    try:
        found = found.of(files)
        truth = _encoded([labels[file] for file in files], run.classes)
    except KeyError as error:
        raise RunError(
            f"{run.folder}: predictions.parquet and split.csv name different test pictures or classes ({error}); "
            f"`distingo evaluate {run.folder}` judges it again",
            code="records_differ",
        ) from error
    expected = truth.argmax(axis=1) if found.truth.ndim == 1 else truth
    if not np.array_equal(found.truth, expected):
        raise RunError(
            f"{run.folder}: predictions.parquet and split.csv disagree on the labels of a picture; "
            f"`distingo evaluate {run.folder}` judges it again",
            code="records_differ",
        )
    return found


def read_predicted(run: RunRecords) -> Predicted:
    """Read a run's predictions with the probabilities of all classes.

    Args:
        run: Its folder, task and classes are looked at.

    Raises:
        RunError: There is no such file, or it is damaged or of other classes.
    """
    import pyarrow as arrow
    from pyarrow import parquet

    path = run.folder / "predictions.parquet"
    again = f"`distingo evaluate {run.folder}` judges it again"
    if not path.exists():
        raise RunError(f"{run.folder}: holds no predictions.parquet; {again}", code="not_evaluated")
    try:
        require_intact(path)
        table = parquet.read_table(path, columns=["file", "truth", "predicted", "probabilities"])
        struct = table["probabilities"].combine_chunks()
        chances = [struct.field(name).to_numpy(zero_copy_only=False) for name in run.classes]
        return Predicted(
            files=tuple(table["file"].to_pylist()),
            truth=_encoded(table["truth"].to_pylist(), run.classes),
            said=_encoded(table["predicted"].to_pylist(), run.classes),
            probabilities=np.stack(chances, axis=1).astype(np.float32),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, arrow.ArrowException) as error:
        raise RunError(f"{path}: damaged or of other classes ({error}); {again}", code="damaged_file") from error


def _encoded(answers: Sequence[Any], classes: Sequence[str]) -> npt.NDArray[Any]:
    places = {name: place for place, name in enumerate(classes)}
    if answers and isinstance(answers[0], str):
        return np.array([places[name] for name in answers], dtype=np.int64)
    table = np.zeros((len(answers), len(classes)), dtype=np.bool_)
    for row, names in enumerate(answers):
        table[row, [places[name] for name in names]] = True
    return table
