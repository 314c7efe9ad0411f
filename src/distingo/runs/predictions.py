"""``predictions.parquet``: the probabilities of every evaluated image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.datasets.targets import encode_labels
from distingo.errors import RunError
from distingo.files import require_intact, write_bytes
from distingo.metrics.thresholds import apply_thresholds
from distingo.records import LabeledImage, Thresholds


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One line of ``predictions.parquet``, without the probabilities of the classes that were not chosen."""

    file: str
    truth: str
    predicted: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Predicted:
    """The whole file as arrays, for one label per image and for several.

    Attributes:
        classes: Class names, in the order of the columns.
        files: The n images, as in ``split.csv``.
        truth: Class numbers int64 (n,); with several labels bool (n, classes).
        said: Likewise the predicted labels: the most probable class, or the labels that reach their thresholds.
        probabilities: Float32 (n, classes).
    """

    classes: tuple[str, ...]
    files: tuple[str, ...]
    truth: npt.NDArray[Any]
    said: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float32]

    def of(self, files: Sequence[str]) -> Predicted:
        """The same of these images, in this order.

        Raises:
            KeyError: One of them was not predicted.
        """
        places = {file: place for place, file in enumerate(self.files)}
        rows = np.array([places[file] for file in files], dtype=np.int64)
        return Predicted(self.classes, tuple(files), self.truth[rows], self.said[rows], self.probabilities[rows])

    def labels_of(self, row: int) -> tuple[str, ...]:
        """The true labels of the image in a row, where images have several."""
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
        images: n images with their truth.
        probabilities: float32 (n, classes).
        classes: Names of the columns; the field names of the struct column ``probabilities``.
        thresholds: With several labels per image, the decision threshold of each. Then ``truth`` and
            ``predicted`` are lists of labels, and there is no ``confidence``.
        given: Likewise, where no thresholds stand for all images: which labels are given, bool (n, classes).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if thresholds is not None:
        given = apply_thresholds(probabilities, thresholds)
    columns = {"file": pa.array([image.source.file for image in images], pa.string())}
    if given is None:
        columns["truth"] = pa.array([image.label for image in images], pa.string())
        columns["predicted"] = pa.array([classes[at] for at in probabilities.argmax(axis=1)], pa.string())
        columns["confidence"] = pa.array(probabilities.max(axis=1), pa.float32())
    else:
        truth = encode_labels(images, classes, "multi-label")
        for name, table in (("truth", truth), ("predicted", given)):
            lists = [[classes[at] for at in np.flatnonzero(row)] for row in table]
            columns[name] = pa.array(lists, pa.list_(pa.string()))
    of_classes = [pa.array(probabilities[:, at], pa.float32()) for at in range(len(classes))]
    columns["probabilities"] = pa.StructArray.from_arrays(of_classes, names=list(classes))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    write_bytes(path, buffer.getvalue(), recorded=True)


def read_predictions(path: Path) -> tuple[PredictionRow, ...]:
    """Read ``predictions.parquet`` of images with one label each; nothing where there is none.

    Raises:
        RunError: It is damaged.
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
    """Read the whole file; None where there is none.

    Args:
        path: As `write_predictions` wrote it.
        classes: All classes, in the order of the result.

    Raises:
        RunError: It is damaged, or of other classes.
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
            said=encode_names(table["predicted"].to_pylist(), classes),
            probabilities=np.stack(columns, axis=1).astype(np.float32),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, arrow.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or of other classes ({error}); evaluate the run again", code="damaged_file"
        ) from error


def encode_names(names: Sequence[str] | Sequence[Sequence[str]], classes: Sequence[str]) -> npt.NDArray[Any]:
    """The class name of each image as numbers int64 (n,), or its labels as bool (n, classes).

    Raises:
        KeyError: A name is none of the classes.
    """
    places = {name: place for place, name in enumerate(classes)}
    if names and isinstance(names[0], str):
        return np.array([places[str(name)] for name in names], dtype=np.int64)
    table = np.zeros((len(names), len(classes)), dtype=np.bool_)
    for row, labels in enumerate(names):
        table[row, [places[label] for label in labels]] = True
    return table


def read_probabilities(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], npt.NDArray[np.float32]]:
    """Read the file without knowing its classes: files, classes, and probabilities float32 (n, classes).

    Raises:
        RunError: It is missing or damaged.
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
        columns = [struct.field(at).to_numpy(zero_copy_only=False) for at in range(len(classes))]
        return tuple(table.column("file").to_pylist()), classes, np.stack(columns, axis=1)
    except (OSError, KeyError, ValueError, arrow.ArrowException) as error:
        raise RunError(
            f"{path}: damaged or unreadable ({error}); make it again", code="damaged_file", parameter="predictions"
        ) from error
