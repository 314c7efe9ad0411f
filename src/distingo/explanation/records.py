"""Records of explanations, and ``heat_maps.parquet`` with the heat maps of a run's top losses, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from distingo.messages.notes import Note
from distingo.records import Task
from distingo.runs.predictions import Box

Method = Literal["maps", "attention", "covering"]
"""Gradients times the last feature maps; relevance through attention layers; effect of covered squares."""

MEANINGFUL = 0.025
"""Highest p-value of a meaningful map: none of 40 random covers has as much effect."""

POSSIBLY_MEANINGFUL = 0.15
"""Above this p-value a map is no better than random."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Evidence for one class over the part of the image that the model processes.

    Attributes:
        label: The class.
        values: float32 (rows, columns) from 0 to 1 for the strongest evidence; all 0 if there is no evidence.
        method: How the map was computed.
    """

    label: str
    values: np.ndarray
    method: Method

    @property
    def is_empty(self) -> bool:
        """Whether nothing in the image is evidence for the class."""
        return not bool(self.values.any())


@dataclass(frozen=True, slots=True)
class CoverCheck:
    """Effect of covering the hottest part, compared with random parts of the same size and shape.

    Attributes:
        share: Share of the model's input pixels that were covered.
        before: Probability of the class with nothing covered.
        hottest: Probability with the hottest part covered.
        random: Probabilities with random parts covered.
        fall: Decrease of the log odds with the hottest part covered.
        random_falls: Decreases with random parts covered, in the order of `random`.
    """

    share: float
    before: float
    hottest: float
    random: tuple[float, ...]
    fall: float
    random_falls: tuple[float, ...]

    @property
    def p_value(self) -> float:
        """P-value: (1 + number of random falls at least as large) / (1 + number of random falls)."""
        reached = sum(fall >= self.fall for fall in self.random_falls)
        return (1 + reached) / (1 + len(self.random_falls))

    @property
    def is_meaningful(self) -> bool:
        """Whether the hottest part has significantly more effect than random parts."""
        return self.fall > 0 and self.p_value <= MEANINGFUL

    @property
    def may_be_meaningful(self) -> bool:
        """Whether the hottest part may have more effect, although some random parts have as much."""
        return self.fall > 0 and self.p_value <= POSSIBLY_MEANINGFUL


@dataclass(frozen=True, slots=True)
class ClassExplanation:
    """The explanation of one class.

    Attributes:
        heat: The heat map.
        probability: Probability of the class.
        check: Validation of the map; None for an empty map.
    """

    heat: HeatMap
    probability: float
    check: CoverCheck | None


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A training image with similar features.

    Attributes:
        file: File name as in ``split.csv``.
        labels: Its classes.
        distance: Distance from `distingo.models.reference_data.FeatureBank.nearest`.
        image: Thumbnail, uint8 (height, width, 3); None if the file can no longer be opened.
    """

    file: str
    labels: tuple[str, ...]
    distance: float
    image: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a model's prediction for one image.

    Attributes:
        file: Name of the image.
        model: Name of the model.
        task: ``single-label`` or ``multi-label``.
        size: Width and height of the upright image in its file.
        image: The upright image, uint8 (height, width, 3), with a longer side of at most `LONGEST_SIDE` pixels.
        seen: The part of the image that the model processes.
        labels: All classes, most probable first.
        probabilities: One per class in `labels`.
        given: The predicted labels.
        classes: The explained classes.
        neighbors: The nearest training images, the nearest first.
        notes: Notes for the reader.
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
    neighbors: tuple[Neighbor, ...]
    notes: tuple[Note, ...] = ()

    def __repr__(self) -> str:
        explained = ", ".join(repr(each.heat.label) for each in self.classes) or "no class"
        return f"Explanation({self.file!r}, of {explained}, {len(self.neighbors)} neighbors)"


@dataclass(frozen=True, slots=True)
class ImageExplanation:
    """The explanation of one class for an image in memory.

    Attributes:
        heat: The heat map.
        seen: The part of the image that the model processes and the map covers.
        neighbors: The nearest training images, the nearest first.
    """

    heat: HeatMap
    seen: Box
    neighbors: tuple[Neighbor, ...]


LONGEST_SIDE = 1024


@dataclass(frozen=True, slots=True)
class LayerMaps:
    """Feature maps of one layer.

    Attributes:
        name: Name of the layer as in ``summary.txt``.
        channels: Number of feature maps of the layer.
        shown: Indices of the maps in `maps`: those with the highest variation, in descending order.
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
        file: Name of the image.
        model: Name of the model.
        filters_name: Name of the first convolution; empty if there is none.
        filters: Filters of the first convolution, float32 (filters, rows, columns, channels).
        layers: Layers in the order of computation.
    """

    file: str
    model: str
    filters_name: str
    filters: np.ndarray
    layers: tuple[LayerMaps, ...]
