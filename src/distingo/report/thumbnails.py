"""Small copies of images inside a page: each file once, within a budget; and heat maps as colors over them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.errors import DistingoError
from distingo.explanation.records import read_heat_maps
from distingo.records import ValueRanges
from distingo.report.examples import surest_mistakes, take_turns, worst_mistakes
from distingo.runs.contents import RunRecords
from distingo.runs.folder import RunFolder
from distingo.runs.heat_maps import Box
from distingo.runs.predictions import read_predicted

LONGEST_SIDE = 160
"""Pixels of a thumbnail's longer side: shown at about 112, sharper on a dense screen."""

TINY = 72
"""Images up to this many pixels are kept as they are and enlarged without smoothing."""

MOST_IMAGES = 400
"""Of ordinary size; a tiny one counts a quarter."""

_TINY_WEIGHT = 0.25

MOST_BYTES = 6_000_000


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image made small.

    Attributes:
        uri: The image as a ``data:`` address.
        width: Pixels of the original.
        height: Pixels of the original.
        tiny: Whether the original is so small that it should be enlarged pixel by pixel.
    """

    uri: str
    width: int
    height: int
    tiny: bool


@dataclass(slots=True)
class Album:
    """The thumbnails of a page, by file.

    A page writes a thumbnail's address where it is first seen (`first_use`) and, at its end, those of the
    images that appear only when a person asks (`unused`), so that no image is embedded twice.

    Attributes:
        thumbnails: By file.
        unreadable: Files that could not be opened any more.
    """

    thumbnails: dict[str, Thumbnail]
    unreadable: frozenset[str] = frozenset()
    _numbers: dict[str, int] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._numbers = {file: number for number, file in enumerate(self.thumbnails)}

    def get(self, file: str) -> Thumbnail | None:
        """The thumbnail of a file, or None where it was unreadable or beyond the budget."""
        return self.thumbnails.get(file)

    def number(self, file: str) -> int | None:
        """A file's number on the page, or None where it has no thumbnail."""
        return self._numbers.get(file)

    def first_use(self, file: str) -> str | None:
        """The address of a file's thumbnail when it is requested the first time, later None."""
        if file in self._used or file not in self.thumbnails:
            return None
        self._used.add(file)
        return self.thumbnails[file].uri

    def unused(self) -> dict[int, str]:
        """The addresses that `first_use` has not given out, by number."""
        return {
            self._numbers[file]: thumbnail.uri for file, thumbnail in self.thumbnails.items() if file not in self._used
        }

    def tiny(self) -> list[int]:
        """The numbers of the images to enlarge pixel by pixel."""
        return [self._numbers[file] for file, thumbnail in self.thumbnails.items() if thumbnail.tiny]


def fill_album(
    root: Path,
    files: Iterable[str],
    *,
    value_ranges: ValueRanges | None = None,
    most_images: int = MOST_IMAGES,
    most_bytes: int = MOST_BYTES,
) -> Album:
    """Make thumbnails, the most important files first, until the budget is used up.

    Args:
        root: The dataset's folder.
        files: As in ``split.csv``, most important first; repetitions are ignored.
        value_ranges: What the stored values of deep images are scaled by, so that a page shows what the model sees.
        most_images: How many thumbnails at most; a tiny image counts a quarter.
        most_bytes: How many bytes of encoded text at most.

    Returns:
        The album; a file that can't be opened any more is listed, never an error.
    """
    wanted = list(dict.fromkeys(files))[: int(most_images / _TINY_WEIGHT)]
    thumbnails: dict[str, Thumbnail] = {}
    unreadable = set()
    images, size = 0.0, 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        opened = pool.map(lambda file: _open_thumbnail(root, file, value_ranges), wanted)
        for file, thumbnail in zip(wanted, opened, strict=True):
            if thumbnail is None:
                unreadable.add(file)
                continue
            images += _TINY_WEIGHT if thumbnail.tiny else 1
            size += len(thumbnail.uri)
            if size > most_bytes or images > most_images:
                pool.shutdown(cancel_futures=True)
                break
            thumbnails[file] = thumbnail
    return Album(thumbnails, frozenset(unreadable))


def make_thumbnail(image: Image.Image) -> Thumbnail:
    """Make an image small: WebP, or lossless PNG where it is tiny anyway.

    Args:
        image: Of any mode and size.

    Returns:
        The thumbnail, its longer side at most `LONGEST_SIDE` pixels.
    """
    width, height = image.size
    small = image if image.mode in ("RGB", "L") else image.convert("RGB")
    tiny = max(width, height) <= TINY
    encoded = io.BytesIO()
    if tiny:
        small.save(encoded, "PNG", optimize=True)
    else:
        small = small.copy()
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
        small.save(encoded, "WEBP", quality=76, method=4)
    kind = "png" if tiny else "webp"
    uri = f"data:image/{kind};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
    return Thumbnail(uri, width, height, tiny)


def _open_thumbnail(root: Path, file: str, value_ranges: ValueRanges | None) -> Thumbnail | None:
    from distingo.datasets.decoding.decode import open_source
    from distingo.datasets.layouts.detection import source_of

    try:
        return make_thumbnail(open_source(source_of(root, file, value_ranges)))
    except (DistingoError, OSError, ValueError, IndexError):
        return None


_COLORS = np.array(
    [(20, 11, 52), (89, 16, 108), (160, 42, 98), (219, 81, 59), (251, 144, 9), (252, 240, 110)], np.float64
)
"""From cold to hot; brightness rises all the way, so that it reads without color vision and in print."""

_STRONGEST = 0.82
"""Opacity of the hottest part."""

_SMALL_SIDE = 96


def draw_heat(image: np.ndarray, seen: Box, values: np.ndarray) -> Image.Image:
    """Lay a heat map over an image, in gray; what the model does not see is pale.

    Args:
        image: uint8 (height, width, 3).
        seen: The part that the map covers.
        values: float (rows, columns) from 0 to 1.
    """
    gray = Image.fromarray(image).convert("L").convert("RGB")
    box = _pixels(seen, gray.width, gray.height)
    drawn = Image.blend(gray, Image.new("RGB", gray.size, "white"), 0.72)
    drawn.paste(gray.crop(box), box[:2])
    layer = _color(_enlarge(values, box[2] - box[0], box[3] - box[1]))
    drawn.paste(layer, box[:2], layer)
    return drawn


def heat_address(size: tuple[int, int], seen: Box, values: np.ndarray) -> str:
    """A heat map as a small see-through image to lie over another, as a ``data:`` address.

    Args:
        size: Width and height of the image below; the result has its shape.
        seen: As for `draw_heat`.
        values: As for `draw_heat`.
    """
    scale = _SMALL_SIDE / max(size)
    width, height = (max(1, round(split * scale)) for split in size)
    layer = Image.new("RGBA", (width, height))
    box = _pixels(seen, width, height)
    layer.paste(_color(_enlarge(values, box[2] - box[0], box[3] - box[1])), box[:2])
    encoded = io.BytesIO()
    layer.save(encoded, "WEBP", quality=60, alpha_quality=60, method=4)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"


def _pixels(seen: Box, width: int, height: int) -> tuple[int, int, int, int]:
    left, top = round(seen[0] * width), round(seen[1] * height)
    return left, top, max(left + 1, round(seen[2] * width)), max(top + 1, round(seen[3] * height))


def _enlarge(values: np.ndarray, width: int, height: int) -> np.ndarray:
    large = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(large, np.float64), 0, 1)


def _color(values: np.ndarray) -> Image.Image:
    """RGBA (height, width): the colder, the more it lets through."""
    steps = np.linspace(0, 1, len(_COLORS))
    channels = [np.interp(values, steps, _COLORS[:, channel]) for channel in range(3)]
    opacity = 255 * _STRONGEST * np.minimum(1, values * 1.6)
    return Image.fromarray(np.stack([*channels, opacity], axis=-1).round().astype(np.uint8), "RGBA")


Mistake = tuple[str, str]
"""A file, and the class that was wrongly given or denied."""


def list_mistakes(records: RunRecords) -> list[Mistake]:
    """The mistakes that the report will show, the worst first.

    Args:
        records: Of an evaluation.
    """
    if records.task != "multi-label":
        return [(row.file, row.predicted) for row in worst_mistakes(records.predictions)]
    if records.evaluation is None:
        return []
    predictions = read_predicted(records.folder / "predictions.parquet", records.evaluation.classes)
    if predictions is None:
        return []
    kinds = [surest_mistakes(predictions, missed=missed) for missed in (False, True)]
    return list(dict.fromkeys(take_turns([[(each.file, each.label) for each in kind] for kind in kinds])))


def heat_layers(records: RunRecords, mistakes: Iterable[Mistake], album: Album) -> dict[Mistake, str]:
    """Heat maps to lie over thumbnails, as ``data:`` addresses by file and class.

    Args:
        records: Of an evaluation.
        mistakes: Those on the page.
        album: The page's thumbnails; without one there is no map.

    Raises:
        RunError: ``heat_maps.parquet`` is damaged.
    """
    kept = read_heat_maps(RunFolder(records.folder).heat_maps)
    layers = {}
    for mistake in mistakes:
        heat, thumbnail = kept.get(mistake), album.get(mistake[0])
        if heat is not None and thumbnail is not None:
            layers[mistake] = heat_address((thumbnail.width, thumbnail.height), heat.seen, heat.values)
    return layers
