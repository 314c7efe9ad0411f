"""``evaluation.json`` and ``predictions.parquet``: what a judgement leaves behind."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from distingo.files import read_json, write_bytes, write_json
from distingo.records import ClassScores, Evaluation, Picture, Score
from distingo.run_folder import FORMAT, check_format


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write all scores as ``scores.<name>.{value,low,high,n}``, baselines likewise."""
    write_json(path, {"format": FORMAT, **asdict(evaluation)})


def read_evaluation(path: Path) -> Evaluation:
    """Read back what `write_evaluation` wrote.

    Raises:
        RunError: The file is missing, damaged or from a newer version.
    """
    content = read_json(path)
    check_format(content, path)
    return Evaluation(
        side=content["side"],
        n=content["n"],
        classes=tuple(content["classes"]),
        scores={name: Score(**score) for name, score in content["scores"].items()},
        per_class=tuple(ClassScores(**scores) for scores in content["per_class"]),
        confusion=tuple(tuple(row) for row in content["confusion"]),
        baselines={
            model: {name: Score(**score) for name, score in scores.items()}
            for model, scores in content["baselines"].items()
        },
        notes=tuple(content["notes"]),
    )


def write_predictions(
    path: Path, pictures: Sequence[Picture], probabilities: np.ndarray, classes: tuple[str, ...]
) -> None:
    """Write one row per judged picture.

    Args:
        path: The Parquet file.
        pictures: n pictures with their truth.
        probabilities: float32 (n, classes).
        classes: Names of the columns; the field names of the struct column ``probabilities``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    best = probabilities.argmax(axis=1)
    columns = [pa.array(probabilities[:, index], pa.float32()) for index in range(len(classes))]
    table = pa.table(
        {
            "file": [picture.source.file for picture in pictures],
            "truth": [picture.label for picture in pictures],
            "predicted": [classes[index] for index in best],
            "confidence": pa.array(probabilities.max(axis=1), pa.float32()),
            "probabilities": pa.StructArray.from_arrays(columns, names=list(classes)),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())
