"""What an explanation consists of; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

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
    """What speaks for one class, over the part of the picture that the model sees.

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
        """Whether nothing in the picture speaks for the class."""
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
class Neighbour:
    """A training picture that is near in the model's features.

    Attributes:
        file: As in ``split.csv``.
        labels: Its classes.
        distance: In the features, as `distingo.models.feature_bank.FeatureBank.nearest` measures it.
        picture: Small, uint8 (height, width, 3); None where it can't be opened any more.
    """

    file: str
    labels: tuple[str, ...]
    distance: float
    picture: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a model says what it says of one picture.

    Attributes:
        file: The picture, as the caller named it.
        model: The model's name.
        task: One label per picture, or several.
        size: Width and height of the picture in its file, upright.
        picture: Upright, uint8 (height, width, 3), its longer side at most `LONGEST_SIDE` pixels.
        seen: The part of the picture that the model sees.
        labels: All classes, most probable first.
        probabilities: One per class in `labels`.
        given: The labels that the model gives.
        classes: The classes that were explained.
        neighbours: The nearest training pictures, the nearest first.
        notes: What a reader should know.
    """

    file: str
    model: str
    task: Task
    size: tuple[int, int]
    picture: np.ndarray
    seen: Box
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    given: tuple[str, ...]
    classes: tuple[ClassExplanation, ...]
    neighbours: tuple[Neighbour, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        explained = ", ".join(repr(each.heat.label) for each in self.classes) or "no class"
        return f"Explanation({self.file!r}, of {explained}, {len(self.neighbours)} neighbors)"


@dataclass(frozen=True, slots=True)
class ImageExplanation:
    """What speaks for one class in an image that is no file of a run.

    Attributes:
        heat: The map.
        seen: The part of the image that the model sees, over which the map lies.
        neighbours: The nearest training pictures, the nearest first.
    """

    heat: HeatMap
    seen: Box
    neighbours: tuple[Neighbour, ...]


LONGEST_SIDE = 1024


@dataclass(frozen=True, slots=True)
class LayerMaps:
    """What a layer finds in the picture.

    Attributes:
        name: The layer's, as in ``summary.txt``.
        channels: How many maps it has.
        shown: Which of them are in `maps`: those that vary most over the picture, the most first.
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
        file: The picture that the maps are of.
        model: The model's name.
        filters_name: The layer that the filters are from; empty where there is none.
        filters: float32 (filters, rows, columns, channels) of the first convolution.
        layers: In the order in which the picture passes them.
    """

    file: str
    model: str
    filters_name: str
    filters: np.ndarray
    layers: tuple[LayerMaps, ...]
