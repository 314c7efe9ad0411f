"""``evaluation.json`` and ``predictions.parquet``: what a judgement leaves behind."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from distingo.datasets.targets import encode_labels
from distingo.files import read_json, write_bytes, write_json
from distingo.messages.notes import upgrade_notes
from distingo.metrics.thresholds import apply_thresholds
from distingo.records import Evaluation, Picture, Thresholds
from distingo.run_folder import FORMAT, check_format
from distingo.stored_fields import convert


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write all scores as ``scores.<name>.{value,low,high,n}``, baselines and labels' average precision likewise."""
    write_json(path, {"format": FORMAT, **asdict(evaluation)})


def read_evaluation(path: Path) -> Evaluation:
    """Read back what `write_evaluation` wrote.

    Raises:
        RunError: The file is missing, damaged or from a newer version.
    """
    content = read_json(path)
    check_format(content, path)
    return convert(with_notes(content), Evaluation, path, advice="evaluate the run again")


def with_notes(content: dict[str, Any]) -> dict[str, Any]:
    """The content of ``evaluation.json`` with notes in place of version 0.1's sentences."""
    found = upgrade_notes(content)
    if isinstance(thresholds := found.get("thresholds"), dict):
        found["thresholds"] = upgrade_notes(thresholds)
    return found


def write_predictions(
    path: Path,
    pictures: Sequence[Picture],
    probabilities: np.ndarray,
    classes: tuple[str, ...],
    thresholds: Thresholds | None = None,
    given: np.ndarray | None = None,
) -> None:
    """Write one row per judged picture.

    Args:
        path: The Parquet file.
        pictures: n pictures with their truth.
        probabilities: float32 (n, classes).
        classes: Names of the columns; the field names of the struct column ``probabilities``.
        thresholds: With several labels per picture, from which probability on each is given. Then ``truth`` and
            ``predicted`` are lists of labels, and there is no ``confidence``.
        given: Likewise, where no thresholds stand for all pictures: which labels are given, bool (n, classes).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if thresholds is not None:
        given = apply_thresholds(probabilities, thresholds)
    if given is None:
        said = _one_label_each(pictures, probabilities, classes)
    else:
        said = _labels_of_each(pictures, given, classes)
    columns = [pa.array(probabilities[:, index], pa.float32()) for index in range(len(classes))]
    table = pa.table(
        {
            "file": [picture.source.file for picture in pictures],
            **said,
            "probabilities": pa.StructArray.from_arrays(columns, names=list(classes)),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_bytes(path, buffer.getvalue(), recorded=True)


def _one_label_each(pictures: Sequence[Picture], probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    import pyarrow as pa

    return {
        "truth": [picture.label for picture in pictures],
        "predicted": [classes[index] for index in probabilities.argmax(axis=1)],
        "confidence": pa.array(probabilities.max(axis=1), pa.float32()),
    }


def _labels_of_each(pictures: Sequence[Picture], given: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    import pyarrow as pa

    truth = encode_labels(pictures, classes, "multi-label")
    return {
        name: pa.array([[classes[at] for at in np.flatnonzero(row)] for row in table], pa.list_(pa.string()))
        for name, table in (("truth", truth), ("predicted", given))
    }
