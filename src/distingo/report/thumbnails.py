"""Thumbnails embedded in a page, each file once and within a budget, and heat maps drawn over them."""

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
from distingo.records import ValueRanges
from distingo.report.examples import most_confident_errors, most_confident_label_errors, take_turns
from distingo.runs.contents import RunRecords
from distingo.runs.folder import RunFolder
from distingo.runs.predictions import Box, read_heat_maps, read_predicted

LONGEST_SIDE = 160
"""Longer side of a thumbnail in pixels; it is shown at about 112 CSS pixels, sharp on high-density screens too."""

TINY = 72
"""Images whose longer side has at most this many pixels are embedded unchanged and enlarged without smoothing."""

MOST_IMAGES = 400
"""Maximum number of thumbnails on a page; a tiny image counts as a quarter."""

_TINY_WEIGHT = 0.25

MOST_BYTES = 6_000_000


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A reduced copy of an image.

    Attributes:
        uri: The thumbnail as a ``data:`` URL.
        width: Width of the original in pixels.
        height: Height of the original in pixels.
        tiny: Whether the original is so small that it should be enlarged without smoothing.
    """

    uri: str
    width: int
    height: int
    tiny: bool


@dataclass(slots=True)
class Album:
    """The thumbnails of a page, by file.

    A page contains a thumbnail's URL where it is first shown (`first_use`) and, at its end, those of the images that
    appear only on demand (`unused`), so that no image is embedded twice.

    Attributes:
        thumbnails: Thumbnails by file.
        unreadable: Files that can no longer be opened.
    """

    thumbnails: dict[str, Thumbnail]
    unreadable: frozenset[str] = frozenset()
    _numbers: dict[str, int] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._numbers = {file: number for number, file in enumerate(self.thumbnails)}

    def get(self, file: str) -> Thumbnail | None:
        """Return the thumbnail of a file, or None if the file was unreadable or exceeded the budget."""
        return self.thumbnails.get(file)

    def number(self, file: str) -> int | None:
        """Return a file's number on the page, or None if it has no thumbnail."""
        return self._numbers.get(file)

    def first_use(self, file: str) -> str | None:
        """Return the URL of a file's thumbnail on the first call, later None."""
        if file in self._used or file not in self.thumbnails:
            return None
        self._used.add(file)
        return self.thumbnails[file].uri

    def unused(self) -> dict[int, str]:
        """Return the URLs that `first_use` has not returned, by number."""
        return {
            self._numbers[file]: thumbnail.uri for file, thumbnail in self.thumbnails.items() if file not in self._used
        }

    def tiny(self) -> list[int]:
        """Return the numbers of the images to enlarge without smoothing."""
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
        root: The data set's folder.
        files: File names as in ``split.csv``, most important first; repetitions are ignored.
        value_ranges: Ranges by which deep images are scaled, so that a page shows the model's input.
        most_images: Maximum number of thumbnails; a tiny image counts as a quarter.
        most_bytes: Maximum total length of the encoded thumbnails in bytes.

    Returns:
        The album; a file that can no longer be opened is listed in it and raises no error.
    """
    candidates = list(dict.fromkeys(files))[: int(most_images / _TINY_WEIGHT)]
    thumbnails: dict[str, Thumbnail] = {}
    unreadable = set()
    images, size = 0.0, 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        opened_thumbnails = pool.map(lambda file: _open_thumbnail(root, file, value_ranges), candidates)
        for file, thumbnail in zip(candidates, opened_thumbnails, strict=True):
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
    """Make a thumbnail: WebP, or lossless PNG for a tiny image.

    Args:
        image: An image of any mode and size.

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
    from distingo.datasets.walking import source_of

    try:
        return make_thumbnail(open_source(source_of(root, file, value_ranges)))
    except (DistingoError, OSError, ValueError, IndexError):
        return None


_COLORS = np.array(
    [(20, 11, 52), (89, 16, 108), (160, 42, 98), (219, 81, 59), (251, 144, 9), (252, 240, 110)], np.float64
)
"""RGB from cold to hot, with increasing brightness, so that the scale is readable without color vision and in print."""

_STRONGEST = 0.82
"""Maximum opacity of a heat map."""

_SMALL_SIDE = 96


def draw_heat(image: np.ndarray, seen: Box, values: np.ndarray) -> Image.Image:
    """Draw a heat map over the grayscale version of an image; the area outside the model's input is pale.

    Args:
        image: uint8 array of shape (height, width, 3).
        seen: The area that the map covers, as fractions: left, top, right, bottom.
        values: Float array of shape (rows, columns), from 0 to 1.
    """
    gray = Image.fromarray(image).convert("L").convert("RGB")
    box = _pixels(seen, gray.width, gray.height)
    drawn = Image.blend(gray, Image.new("RGB", gray.size, "white"), 0.72)
    drawn.paste(gray.crop(box), box[:2])
    layer = _color(_enlarge(values, box[2] - box[0], box[3] - box[1]))
    drawn.paste(layer, box[:2], layer)
    return drawn


def heat_address(size: tuple[int, int], seen: Box, values: np.ndarray) -> str:
    """Encode a heat map as a small transparent overlay, as a ``data:`` URL.

    Args:
        size: Width and height of the image below; the overlay has the same aspect ratio.
        seen: As for `draw_heat`.
        values: As for `draw_heat`.
    """
    scale = _SMALL_SIDE / max(size)
    width, height = (max(1, round(length * scale)) for length in size)
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
    """Color values from 0 to 1 as an RGBA image; lower values are more transparent."""
    steps = np.linspace(0, 1, len(_COLORS))
    channels = [np.interp(values, steps, _COLORS[:, channel]) for channel in range(3)]
    opacity = 255 * _STRONGEST * np.minimum(1, values * 1.6)
    return Image.fromarray(np.stack([*channels, opacity], axis=-1).round().astype(np.uint8), "RGBA")


Mistake = tuple[str, str]
"""A file and the class that was wrongly predicted or missed."""


def list_mistakes(records: RunRecords) -> list[Mistake]:
    """List the mistakes that the report will show, the most confident first.

    Args:
        records: The records of an evaluation.
    """
    if records.task != "multi-label":
        return [(row.file, row.predicted) for row in most_confident_errors(records.predictions)]
    if records.evaluation is None:
        return []
    predictions = read_predicted(records.folder / "predictions.parquet", records.evaluation.classes)
    if predictions is None:
        return []
    kinds = [most_confident_label_errors(predictions, missed=missed) for missed in (False, True)]
    return list(dict.fromkeys(take_turns([[(each.file, each.label) for each in kind] for kind in kinds])))


def heat_layers(records: RunRecords, mistakes: Iterable[Mistake], album: Album) -> dict[Mistake, str]:
    """Encode the stored heat maps of mistakes as overlays for their thumbnails.

    Args:
        records: The records of an evaluation.
        mistakes: The mistakes on the page.
        album: The page's thumbnails; a mistake without a thumbnail gets no overlay.

    Returns:
        Overlays as ``data:`` URLs, by file and class.

    Raises:
        RunError: ``heat_maps.parquet`` is damaged.
    """
    heat_maps = read_heat_maps(RunFolder(records.folder).heat_maps)
    layers = {}
    for mistake in mistakes:
        heat, thumbnail = heat_maps.get(mistake), album.get(mistake[0])
        if heat is not None and thumbnail is not None:
            layers[mistake] = heat_address((thumbnail.width, thumbnail.height), heat.seen, heat.values)
    return layers
