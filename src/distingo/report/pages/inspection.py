"""The page about a data set before anything is trained: classes, sizes, appearance, the map of images."""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.curation.appearance import Appearance, Exploration
from distingo.language import count
from distingo.records import Dataset, LabeledImage
from distingo.report.charts.class_balance import balance_classes, count_labels, summarize_sizes, view_pairs
from distingo.report.charts.curves import Tick
from distingo.report.charts.image_map import show_map
from distingo.report.examples import choose_samples, group_skipped, rank_images
from distingo.report.templating import write_page
from distingo.report.text.wording import counted, file_size, percent
from distingo.report.thumbnails import fill_album

WIDTH, HEIGHT = 460, 190

LEFT, RIGHT, TOP, BOTTOM = 46, 452, 12, 160

SMALL_WIDTH, SMALL_HEIGHT = 100, 26

_ASPECTS = ((1, 4), (1, 3), (1, 2), (2, 3), (1, 1), (3, 2), (2, 1), (3, 1), (4, 1))


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its left and upper edge, width and height in pixels, and what it counts."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram, ready to draw.

    Attributes:
        bars: Those that count something, from left to right.
        x_ticks: Along the bottom.
        most: The highest bar's number.
        summary: What it shows, in a sentence.
    """

    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    most: int
    summary: str


def draw_file_sizes(sizes: Sequence[int | None]) -> Histogram | None:
    """Count images by the bytes of their files, on a logarithmic axis.

    Args:
        sizes: None where unknown.

    Returns:
        None without any known size.
    """
    known_sizes = np.array([size for size in sizes if size is not None], np.float64)
    if not len(known_sizes):
        return None
    low, high = float(known_sizes.min()), float(known_sizes.max())
    between = "" if low == high else f", from {file_size(int(low))} to {file_size(int(high))}"
    summary = f"Median {file_size(round(float(np.median(known_sizes))))}{between}"
    steps = [factor * 10.0**power for power in range(1, 10) for factor in (1, 2, 5)]
    return _draw(known_sizes, steps, lambda value: file_size(round(value)), summary)


def draw_aspects(images: Sequence[LabeledImage]) -> Histogram | None:
    """Count images by width over height, on a logarithmic axis.

    Returns:
        None where all have the same.
    """
    aspects = np.array([image.width / image.height for image in images], np.float64)
    if not len(aspects) or aspects.max() == aspects.min():
        return None
    names = {width / height: f"{width}:{height}" for width, height in _ASPECTS}
    wide, tall = int((aspects > 1).sum()), int((aspects < 1).sum())
    square = len(aspects) - wide - tall
    summary = f"{count(wide)} wide, {count(tall)} tall, {count(square)} square"
    return _draw(aspects, list(names), lambda value: names.get(value, f"{value:.2g}:1"), summary)


def draw_small(counts: np.ndarray) -> str:
    """The SVG path of a histogram for a table's cell, `SMALL_WIDTH` by `SMALL_HEIGHT` pixels.

    Args:
        counts: By bin, int (bins,).
    """
    most = max(1, int(counts.max()))
    step = SMALL_WIDTH / len(counts)
    tops = [round(SMALL_HEIGHT - SMALL_HEIGHT * int(number) / most, 1) for number in counts]
    steps = "".join(f"V{top:g}H{round((at + 1) * step, 1):g}" for at, top in enumerate(tops))
    return f"M0,{SMALL_HEIGHT}{steps}V{SMALL_HEIGHT}Z"


def _draw(values: np.ndarray, ticks: Sequence[float], text: Callable[[float], str], summary: str) -> Histogram:
    logs = np.log(np.maximum(values, 1e-9))
    low, high = float(logs.min()), float(logs.max())
    if high - low < 0.5:
        low, high = (low + high) / 2 - 0.25, (low + high) / 2 + 0.25
    bins = 30
    counts, edges = np.histogram(logs, bins, range=(low, high))
    most, width = int(counts.max()), (RIGHT - LEFT) / bins
    bars = tuple(
        Bar(
            x=round(LEFT + at * width, 1),
            y=round(BOTTOM - (BOTTOM - TOP) * number / most, 1),
            width=round(width - 1, 1),
            height=round((BOTTOM - TOP) * number / most, 1),
            text=f"{text(math.exp(edges[at]))} to {text(math.exp(edges[at + 1]))}: {counted(number, 'picture')}",
        )
        for at, number in enumerate(counts.tolist())
        if number
    )
    places = [(LEFT + (math.log(tick) - low) / (high - low) * (RIGHT - LEFT), tick) for tick in ticks]
    shown = [(place, tick) for place, tick in places if LEFT - 1 <= place <= RIGHT + 1]
    step = max(1, math.ceil(len(shown) / 7))
    return Histogram(bars, tuple(Tick(round(place, 1), text(tick)) for place, tick in shown[::step]), most, summary)


MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class AppearanceRow:
    """One class, or all images.

    Attributes:
        name: Empty for all images.
        number: How many images.
        image: The mean image as a ``data:`` address.
        color: The mean color as CSS writes it.
        brightness: The path of a small histogram.
        saturation: The path of a small histogram.
        median_brightness: As text.
        median_saturation: As text.
        median_bytes: As text, empty where unknown.
    """

    name: str
    number: int
    image: str
    color: str
    brightness: str
    saturation: str
    median_brightness: str
    median_saturation: str
    median_bytes: str


def show_appearances(appearances: Sequence[Appearance]) -> tuple[AppearanceRow, ...]:
    """Make a row of each, at most `MOST_ROWS`: all images first, then the classes with most images."""
    everything, *classes = appearances
    ranked = sorted(classes, key=lambda each: -each.number)
    return tuple(_row(each) for each in (everything, *ranked[: MOST_ROWS - 1]))


def has_color(appearances: Sequence[Appearance]) -> bool:
    """Whether any image has a saturation worth showing."""
    return bool(appearances[0].median_saturation > 0 or appearances[0].saturation[1:].any())


def _row(appearance: Appearance) -> AppearanceRow:
    red, green, blue = appearance.mean_color
    return AppearanceRow(
        name=appearance.name,
        number=appearance.number,
        image=_address(appearance.mean_image),
        color=f"#{red:02x}{green:02x}{blue:02x}",
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


MOST_ON_THE_WALL = 96


def write_inspection(dataset: Dataset, path: Path, exploration: Exploration | None = None) -> Path:
    """Write a page about a dataset: images per class, sizes, samples, and files left out with reasons.

    With several labels per image it also shows how many labels images have, and which go together.

    Args:
        dataset: As read by `distingo.datasets.gathering.read_dataset`.
        path: Where the page shall be.
        exploration: What was found out about its colors, and the map; None leaves these out.

    Returns:
        The path.

    Raises:
        ResourceError: The page can't be written.
    """
    given = any(image.predefined_split for image in dataset.images)
    labeled = [(image.predefined_split or "train", image.labels) for image in dataset.images]
    balance = balance_classes(labeled, dataset.classes)
    samples = choose_samples(
        ((image.source.file, image.labels) for image in dataset.images),
        [entry.name for entry in balance],
    )
    several = dataset.task == "multi-label"
    wall = draw_wall(dataset.images)
    context = {
        "dataset": dataset,
        "data_name": dataset.root.name or str(dataset.root),
        "one": "label" if several else "class",
        "many": "labels" if several else "classes",
        "given": given,
        "balance": balance,
        "label_counts": count_labels(labeled) if several else (),
        "pairs": view_pairs([labels for _, labels in labeled], dataset.classes) if several else None,
        "samples": samples,
        "sizes": summarize_sizes(dataset.images),
        "formats": Counter(row.format for row in dataset.manifest if row.status == "used").most_common(),
        "skipped": group_skipped(dataset.manifest),
        "several": several,
        "wall": [(image.source.file, image.labels) for image in wall],
        "album": fill_album(
            dataset.root,
            [*rank_images((), samples, {}), *(image.source.file for image in wall)],
            value_ranges=dataset.value_ranges,
        ),
        "aspects": draw_aspects(dataset.images),
        **_explored(exploration),
    }
    return write_page("inspection.html", path, context, scripts=("page.js", "map.js"))


def draw_wall(images: Sequence[LabeledImage], *, most: int = MOST_ON_THE_WALL) -> list[LabeledImage]:
    """Draw images by chance, always the same ones of the same data set; none where a sample shows all anyway."""
    if len(images) < most // 2:
        return []
    order = np.random.default_rng(0).permutation(len(images))
    return [images[at] for at in order[:most].tolist()]


def _explored(exploration: Exploration | None) -> dict[str, object]:
    if exploration is None:
        return {"exploration": None, "map": None, "file_sizes": None}
    return {
        "exploration": exploration,
        "map": None if exploration.image_map is None else show_map(exploration.image_map),
        "looks": show_appearances(exploration.appearances),
        "colored": has_color(exploration.appearances),
        "file_sizes": draw_file_sizes(exploration.sizes),
    }
