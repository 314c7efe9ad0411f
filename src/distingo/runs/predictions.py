"""What a run records about single images.

- ``predictions.parquet``: labels and probabilities of every evaluated image.
- ``heat_maps.parquet``: heat maps of the most confident errors, readable without torch.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.errors import RunError
from distingo.files import require_intact, write_bytes
from distingo.metrics.thresholds import apply_thresholds
from distingo.records import LabeledImage, encode_labels
from distingo.scores import Thresholds


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One single-label row of ``predictions.parquet``, with the probability of the predicted class only."""

    file: str
    truth: str
    predicted: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Predicted:
    """The content of ``predictions.parquet`` as arrays, single-label or multi-label.

    Attributes:
        classes: Class names, in the order of the columns.
        files: The n images, as in ``split.csv``.
        truth: True classes as int64 indices of shape (n,); multi-label: bool of shape (n, n_classes).
        predicted: Predicted classes or labels in the same form: the most probable class, or the labels that reach their
            thresholds.
        probabilities: float32 of shape (n, n_classes).
    """

    classes: tuple[str, ...]
    files: tuple[str, ...]
    truth: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float32]

    def of(self, files: Sequence[str]) -> Predicted:
        """Select the predictions for these images, in this order.

        Raises:
            KeyError: There is no prediction for one of the images.
        """
        row_of = {file: row for row, file in enumerate(self.files)}
        rows = np.array([row_of[file] for file in files], dtype=np.int64)
        return Predicted(self.classes, tuple(files), self.truth[rows], self.predicted[rows], self.probabilities[rows])

    def labels_of(self, row: int) -> tuple[str, ...]:
        """Return the true labels of the image in a row (multi-label only)."""
        return tuple(self.classes[column] for column in np.flatnonzero(self.truth[row]))


def write_predictions(
    path: Path,
    images: Sequence[LabeledImage],
    probabilities: np.ndarray,
    classes: tuple[str, ...],
    thresholds: Thresholds | None = None,
    given: np.ndarray | None = None,
) -> None:
    """Write one row per evaluated image.

    Args:
        path: The Parquet file.
        images: n images with their true labels.
        probabilities: float32 of shape (n, n_classes).
        classes: Names of the columns of `probabilities`, and fields of the struct column ``probabilities``.
        thresholds: Decision thresholds of a multi-label model. Then ``truth`` and ``predicted`` are lists of labels,
            and there is no column ``confidence``.
        given: Predicted labels of a multi-label model, bool of shape (n, n_classes), if no thresholds apply to all
            images.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if thresholds is not None:
        given = apply_thresholds(probabilities, thresholds)
    columns = {"file": pa.array([image.source.file for image in images], pa.string())}
    if given is None:
        columns["truth"] = pa.array([image.label for image in images], pa.string())
        columns["predicted"] = pa.array([classes[index] for index in probabilities.argmax(axis=1)], pa.string())
        columns["confidence"] = pa.array(probabilities.max(axis=1), pa.float32())
    else:
        truth = encode_labels(images, classes, "multi-label")
        for name, table in (("truth", truth), ("predicted", given)):
            lists = [[classes[index] for index in np.flatnonzero(row)] for row in table]
            columns[name] = pa.array(lists, pa.list_(pa.string()))
    class_columns = [pa.array(probabilities[:, index], pa.float32()) for index in range(len(classes))]
    columns["probabilities"] = pa.StructArray.from_arrays(class_columns, names=list(classes))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    write_bytes(path, buffer.getvalue(), recorded=True)


def read_predictions(path: Path) -> tuple[PredictionRow, ...]:
    """Read the rows of a single-label ``predictions.parquet``; empty if the file does not exist.

    Raises:
        RunError: The file is damaged.
    """
    if not path.exists():
        return ()
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        require_intact(path)
        columns = parquet.read_table(path, columns=list(PredictionRow.__slots__)).to_pydict()
        return tuple(map(PredictionRow, *(columns[name] for name in PredictionRow.__slots__)))
    except (OSError, KeyError, arrow.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or unreadable ({error}); evaluate the run again", code="damaged_file"
        ) from error


def read_predicted(path: Path, classes: Sequence[str]) -> Predicted | None:
    """Read ``predictions.parquet`` as arrays; None if the file does not exist.

    Args:
        path: The file.
        classes: All class names, in the order of the result's columns.

    Raises:
        RunError: The file is damaged, or has other classes.
    """
    if not path.exists():
        return None
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        require_intact(path)
        table = parquet.read_table(path, columns=["file", "truth", "predicted", "probabilities"])
        struct = table["probabilities"].combine_chunks()
        columns = [struct.field(name).to_numpy(zero_copy_only=False) for name in classes]
        return Predicted(
            classes=tuple(classes),
            files=tuple(table["file"].to_pylist()),
            truth=encode_names(table["truth"].to_pylist(), classes),
            predicted=encode_names(table["predicted"].to_pylist(), classes),
            probabilities=np.stack(columns, axis=1).astype(np.float32),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, arrow.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or of other classes ({error}); evaluate the run again", code="damaged_file"
        ) from error


def encode_names(names: Sequence[str] | Sequence[Sequence[str]], classes: Sequence[str]) -> npt.NDArray[Any]:
    """Encode the class name of each image as int64 indices (n,), or its labels as a bool array (n, n_classes).

    Raises:
        KeyError: A name is not one of the classes.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    if names and isinstance(names[0], str):
        return np.array([index_of[str(name)] for name in names], dtype=np.int64)
    table = np.zeros((len(names), len(classes)), dtype=np.bool_)
    for row, labels in enumerate(names):
        table[row, [index_of[label] for label in labels]] = True
    return table


def read_probabilities(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], npt.NDArray[np.float32]]:
    """Read ``predictions.parquet`` without knowing its classes.

    Returns:
        File names, class names, and probabilities as float32 of shape (n, n_classes).

    Raises:
        RunError: The file is missing or damaged.
    """
    import pyarrow as arrow
    from pyarrow import parquet

    if not path.is_file():
        raise RunError(
            f"{path}: no such file; `distingo crossval DATA -o {path.parent}` makes one",
            code="not_found",
            parameter="predictions",
        )
    try:
        require_intact(path)
        table = parquet.read_table(path, columns=["file", "probabilities"])
        struct: Any = table.column("probabilities").combine_chunks()
        classes = tuple(field.name for field in struct.type)
        columns = [struct.field(index).to_numpy(zero_copy_only=False) for index in range(len(classes))]
        return tuple(table.column("file").to_pylist()), classes, np.stack(columns, axis=1)
    except (OSError, KeyError, ValueError, arrow.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or unreadable ({error}); make it again", code="damaged_file", parameter="predictions"
        ) from error


Box = tuple[float, float, float, float]
"""Left, top, right and bottom as fractions of an image's width and height."""


@dataclass(frozen=True, slots=True)
class StoredHeatMap:
    """A heat map of the evidence for a class in one image.

    Attributes:
        file: The image, as in ``split.csv``.
        label: The class.
        seen: The area of the image that the map covers.
        values: float32 array of shape (rows, columns), from 0 to 1; all 0 if nothing is evidence for the class.
    """

    file: str
    label: str
    seen: Box
    values: np.ndarray


def write_heat_maps(maps: Sequence[StoredHeatMap], path: Path) -> None:
    """Write heat maps, one row each: file, label, covered area, and values as a list of rows rounded to 1/1000."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = [np.round(each.values, 3).astype(np.float32).tolist() for each in maps]
    table = pa.table(
        {
            "file": pa.array([each.file for each in maps], pa.string()),
            "label": pa.array([each.label for each in maps], pa.string()),
            "seen": pa.array([list(each.seen) for each in maps], pa.list_(pa.float64(), 4)),
            "values": pa.array(values, pa.list_(pa.list_(pa.float32()))),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_bytes(path, buffer.getvalue(), recorded=True)


def read_heat_maps(path: Path) -> dict[tuple[str, str], StoredHeatMap]:
    """Read heat maps by file and label; empty if the file does not exist.

    Raises:
        RunError: The file is damaged.
    """
    if not path.exists():
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_intact(path)
    try:
        rows = pq.read_table(path, columns=["file", "label", "seen", "values"]).to_pylist()
        return {(row["file"], row["label"]): _read_row(row) for row in rows}
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or unreadable ({error}); evaluate the run again", code="damaged_file"
        ) from error


def _read_row(row: dict[str, object]) -> StoredHeatMap:
    left, top, right, bottom = map(float, row["seen"])  # type: ignore[call-overload]
    values = np.array(row["values"], np.float32)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"a map of shape {values.shape}")
    return StoredHeatMap(str(row["file"]), str(row["label"]), (left, top, right, bottom), values)
