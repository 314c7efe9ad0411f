"""The records of an explanation, and ``heat_maps.parquet`` with the maps of a run's top losses; needs no torch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from distingo.errors import RunError
from distingo.files import require_intact, write_bytes
from distingo.records import Task
from distingo.runs.heat_maps import Box

Method = Literal["maps", "attention", "covering"]
"""Gradients times the last feature maps; relevance through the attention layers; falls when squares are covered."""

MEANS_SOMETHING = 0.025
"""Up to this p-value a map is believed: no one of 40 random covers matters as much."""

MAY_MEAN_SOMETHING = 0.15
"""Beyond this p-value a map is no better than chance."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """What speaks for one class, over the part of the image that the model sees.

    Attributes:
        label: The class.
        values: float32 (rows, columns) from 0 to 1, 1 where most speaks for it; all 0 where nothing does.
        method: How it was found.
    """

    label: str
    values: np.ndarray
    method: Method

    @property
    def is_empty(self) -> bool:
        """Whether nothing in the image speaks for the class."""
        return not bool(self.values.any())


@dataclass(frozen=True, slots=True)
class CoverCheck:
    """What covering the hottest part does to a class, against covering random parts of the same size and shape.

    Attributes:
        share: Of the pixels the model sees that were covered.
        before: The class's probability with nothing covered.
        hottest: Its probability with the hottest part covered.
        random: Its probabilities with random parts covered.
        fall: By how much the log odds fell with the hottest part covered.
        random_falls: The same with random parts covered, in the order of `random`.
    """

    share: float
    before: float
    hottest: float
    random: tuple[float, ...]
    fall: float
    random_falls: tuple[float, ...]

    @property
    def p_value(self) -> float:
        """How often chance does as much: (1 + random falls at least as large) / (1 + random falls)."""
        reached = sum(fall >= self.fall for fall in self.random_falls)
        return (1 + reached) / (1 + len(self.random_falls))

    @property
    def means_something(self) -> bool:
        """Whether the hottest part matters more than chance would have it."""
        return self.fall > 0 and self.p_value <= MEANS_SOMETHING

    @property
    def may_mean_something(self) -> bool:
        """Whether it may, though too many random parts matter as much to be sure."""
        return self.fall > 0 and self.p_value <= MAY_MEAN_SOMETHING


@dataclass(frozen=True, slots=True)
class ClassExplanation:
    """One class: its heat map, and whether the map means something.

    Attributes:
        heat: The map.
        probability: The class's.
        check: None for an empty map.
    """

    heat: HeatMap
    probability: float
    check: CoverCheck | None


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A training image that is near in the model's features.

    Attributes:
        file: As in ``split.csv``.
        labels: Its classes.
        distance: In the features, as `distingo.models.feature_bank.FeatureBank.nearest` measures it.
        image: Small, uint8 (height, width, 3); None where it can't be opened any more.
    """

    file: str
    labels: tuple[str, ...]
    distance: float
    image: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a model's prediction for one image.

    Attributes:
        file: The image, as the caller named it.
        model: The model's name.
        task: One label per image, or several.
        size: Width and height of the image in its file, upright.
        image: Upright, uint8 (height, width, 3), its longer side at most `LONGEST_SIDE` pixels.
        seen: The part of the image that the model sees.
        labels: All classes, most probable first.
        probabilities: One per class in `labels`.
        given: The labels that the model gives.
        classes: The classes that were explained.
        neighbours: The nearest training images, the nearest first.
        notes: What a reader should know.
    """

    file: str
    model: str
    task: Task
    size: tuple[int, int]
    image: np.ndarray
    seen: Box
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    given: tuple[str, ...]
    classes: tuple[ClassExplanation, ...]
    neighbours: tuple[Neighbor, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        explained = ", ".join(repr(each.heat.label) for each in self.classes) or "no class"
        return f"Explanation({self.file!r}, of {explained}, {len(self.neighbours)} neighbors)"


@dataclass(frozen=True, slots=True)
class ImageExplanation:
    """What speaks for one class in an image that is no file of a run.

    Attributes:
        heat: The map.
        seen: The part of the image that the model sees, that the map covers.
        neighbours: The nearest training images, the nearest first.
    """

    heat: HeatMap
    seen: Box
    neighbours: tuple[Neighbor, ...]


LONGEST_SIDE = 1024


@dataclass(frozen=True, slots=True)
class LayerMaps:
    """What a layer finds in the image.

    Attributes:
        name: The layer's, as in ``summary.txt``.
        channels: How many maps it has.
        shown: Which of them are in `maps`: those that vary most over the image, the most first.
        maps: float32 (shown, rows, columns).
    """

    name: str
    channels: int
    shown: tuple[int, ...]
    maps: np.ndarray


@dataclass(frozen=True, slots=True)
class NetworkLayers:
    """A network's first filters and feature maps, layer by layer.

    Attributes:
        file: The image that the maps are of.
        model: The model's name.
        filters_name: The layer that the filters are from; empty where there is none.
        filters: float32 (filters, rows, columns, channels) of the first convolution.
        layers: In the order in which the image passes them.
    """

    file: str
    model: str
    filters_name: str
    filters: np.ndarray
    layers: tuple[LayerMaps, ...]


@dataclass(frozen=True, slots=True)
class KeptHeatMap:
    """What spoke for a class in one image.

    Attributes:
        file: The image, as in ``split.csv``.
        label: The class.
        seen: The part of the image that the map covers.
        values: float32 (rows, columns) from 0 to 1; all 0 where nothing speaks for the class.
    """

    file: str
    label: str
    seen: Box
    values: np.ndarray


def write_heat_maps(maps: Sequence[KeptHeatMap], path: Path) -> None:
    """Write maps, a row each: file, label, the seen part's sides, the values as a list of rows rounded to 1/1000."""
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
    """Read maps by file and label; none where there is no such file.

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
