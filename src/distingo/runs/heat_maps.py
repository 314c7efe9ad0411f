"""``heat_maps.parquet``: heat maps of the most confident errors, readable without torch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distingo.errors import RunError
from distingo.files import require_intact, write_bytes

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as fractions of an image's width and height."""


@dataclass(frozen=True, slots=True)
class KeptHeatMap:
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


def write_heat_maps(maps: Sequence[KeptHeatMap], path: Path) -> None:
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


def read_heat_maps(path: Path) -> dict[tuple[str, str], KeptHeatMap]:
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


def _read_row(row: dict[str, object]) -> KeptHeatMap:
    left, top, right, bottom = map(float, row["seen"])  # type: ignore[call-overload]
    values = np.array(row["values"], np.float32)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"a map of shape {values.shape}")
    return KeptHeatMap(str(row["file"]), str(row["label"]), (left, top, right, bottom), values)
