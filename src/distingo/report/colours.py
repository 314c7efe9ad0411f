"""What the pictures of each class look like on the whole, as the rows of a table."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from distingo.exploration.records import Appearance
from distingo.report.histograms import draw_small
from distingo.report.wording import file_size, percent

MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class AppearanceRow:
    """One class, or all pictures.

    Attributes:
        name: Empty for all pictures.
        number: How many pictures.
        picture: The mean picture as a ``data:`` address.
        colour: The mean colour as CSS writes it.
        brightness: The path of a small histogram.
        saturation: The path of a small histogram.
        median_brightness: As text.
        median_saturation: As text.
        median_bytes: As text, empty where unknown.
    """

    name: str
    number: int
    picture: str
    colour: str
    brightness: str
    saturation: str
    median_brightness: str
    median_saturation: str
    median_bytes: str


def show_appearances(appearances: Sequence[Appearance]) -> tuple[AppearanceRow, ...]:
    """Make a row of each, at most `MOST_ROWS`: all pictures first, then the classes with most pictures."""
    everything, *classes = appearances
    ranked = sorted(classes, key=lambda each: -each.number)
    return tuple(_row(each) for each in (everything, *ranked[: MOST_ROWS - 1]))


def has_colour(appearances: Sequence[Appearance]) -> bool:
    """Whether any picture has a saturation worth showing."""
    return bool(appearances[0].median_saturation > 0 or appearances[0].saturation[1:].any())


def _row(appearance: Appearance) -> AppearanceRow:
    red, green, blue = appearance.mean_colour
    return AppearanceRow(
        name=appearance.name,
        number=appearance.number,
        picture=_address(appearance.mean_picture),
        colour=f"#{red:02x}{green:02x}{blue:02x}",
        brightness=draw_small(appearance.brightness),
        saturation=draw_small(appearance.saturation),
        median_brightness=percent(appearance.median_brightness, 0),
        median_saturation=percent(appearance.median_saturation, 0),
        median_bytes="" if appearance.median_bytes is None else file_size(appearance.median_bytes),
    )


def _address(pixels: np.ndarray) -> str:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "WEBP", quality=85, method=4)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
