"""What exploring a data set finds out; the page about it draws these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distingo.records import Picture

BINS = 20
"""Of the histograms of brightness and saturation, from 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """What the pictures of one class, or all pictures, look like on the whole.

    Attributes:
        name: Of the class or label; empty for all pictures.
        number: How many pictures.
        mean_picture: The mean of all, each stretched to the same size, uint8 (height, width, 3).
        mean_colour: Red, green and blue of 0 to 255, the mean of all pixels.
        brightness: Pictures by their mean grey value, int64 (`BINS`,).
        saturation: Pictures by the mean saturation (HSV) of their pixels, int64 (`BINS`,).
        median_brightness: From 0, black, to 1, white.
        median_saturation: From 0, grey, to 1.
        median_bytes: Size of the files; None where pictures are no files of their own.
    """

    name: str
    number: int
    mean_picture: np.ndarray
    mean_colour: tuple[int, int, int]
    brightness: np.ndarray
    saturation: np.ndarray
    median_brightness: float
    median_saturation: float
    median_bytes: int | None


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Who the pictures of one class are among, by what they are embedded by.

    Attributes:
        name: Of the class or label.
        number: How many of its pictures are on the map.
        own: Mean share of a picture's nearest that have the class too.
        expected: What that share would be if pictures lay about by chance.
        other: The other class that the nearest have most often, empty where there is none.
        others: Mean share of the nearest that have that one.
    """

    name: str
    number: int
    own: float
    expected: float
    other: str
    others: float


@dataclass(frozen=True, slots=True, eq=False)
class PictureMap:
    """Pictures laid out in two dimensions so that alike ones lie together.

    Attributes:
        pictures: On the map.
        places: float64 (n, 2), right and down from 0, in the longer direction to 1.
        embedded_by: What likeness is judged by, in words.
        reason: Why that.
        perplexity: Of the projection.
        components: To how many principal components the embeddings were reduced before.
        seed: Of the sample and the projection.
        total: How many pictures the data set has; those beyond the map are on none.
        nearest: How many neighbours a neighbourhood has.
        neighbourhoods: One per class with pictures on the map.
    """

    pictures: tuple[Picture, ...]
    places: np.ndarray
    embedded_by: str
    reason: str
    perplexity: float
    components: int
    seed: int
    total: int
    nearest: int
    neighbourhoods: tuple[Neighbourhood, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Exploration:
    """What exploring a data set found out.

    Attributes:
        appearances: All pictures first, then one entry per class.
        sizes: Bytes of each picture's file, in the data set's order; None for an entry of an IDX file, or for a file
            that is gone.
        picture_map: None where there is none.
        why_no_map: In words; empty where there is one.
    """

    appearances: tuple[Appearance, ...]
    sizes: tuple[int | None, ...]
    picture_map: PictureMap | None = None
    why_no_map: str = ""
