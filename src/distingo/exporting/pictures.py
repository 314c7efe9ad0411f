"""The real pictures that an export is checked and calibrated on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.datasets.decoding import open_source
from distingo.datasets.layouts import source_of
from distingo.datasets.rendering import render, shorter_side_for
from distingo.datasets.walking import walk
from distingo.errors import DataError, DistingoError, UsageError
from distingo.evaluation.reading import RunRecords
from distingo.records import Rendition, Side, Source, ValueRanges

MOST_CHECKED = 2000
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """A picture with its labels where they are known.

    Attributes:
        source: Where its pixels come from.
        labels: Its classes; None where nobody said.
    """

    source: Source
    labels: tuple[str, ...] | None


def pictures_of_run(records: RunRecords, sides: Sequence[Side], most: int) -> list[KnownPicture]:
    """The run's own pictures that are still there: of many a sample, the first side's before the next one's.

    Args:
        records: A run.
        sides: Which of its sides, the dearest first.
        most: How many at most.
    """
    generator = np.random.default_rng(0)
    found: list[KnownPicture] = []
    for side in sides:
        rows = [row for row in records.split if row.side == side]
        for at in generator.permutation(len(rows)):
            if len(found) == most:
                return found
            picture = _find(records.root, rows[at].file, rows[at].labels)
            if picture is not None:
                found.append(picture)
    return found


def pictures_in(folder: Path, most: int) -> list[KnownPicture]:
    """Pictures in a folder, of many a sample.

    Raises:
        UsageError: There is no such folder, or no file in it.
    """
    paths = sorted(file.path for file in walk(folder) if not file.ignored) if folder.is_dir() else []
    if not paths:
        raise UsageError(f"--check-on {folder}: no such folder, or no file in it; give a folder of pictures")
    order = np.random.default_rng(0).permutation(len(paths))[:most]
    return [KnownPicture(Source(paths[at].name, paths[at]), None) for at in order]


def _find(root: Path, file: str, labels: tuple[str, ...]) -> KnownPicture | None:
    try:
        source = source_of(root, file)
    except (DistingoError, OSError, ValueError):
        return None
    return KnownPicture(source, labels) if source.path.is_file() else None


def opened(
    pictures: Sequence[KnownPicture], rendition: Rendition, value_ranges: ValueRanges
) -> Iterator[list[tuple[KnownPicture, Image.Image]]]:
    """Decoded pictures in batches, as predicting decodes them; those that can't be read are left out."""
    enough = shorter_side_for(rendition)

    def look(picture: KnownPicture) -> tuple[KnownPicture, Image.Image] | None:
        try:
            return picture, open_source(picture.source, enough=enough, value_range=value_ranges)
        except (DistingoError, OSError):
            return None

    with ThreadPoolExecutor(max_workers=2) as pool:
        for start in range(0, len(pictures), _AT_ONCE):
            found = pool.map(look, pictures[start : start + _AT_ONCE])
            yield [pair for pair in found if pair is not None]


def rendered(pictures: Sequence[KnownPicture], rendition: Rendition, value_ranges: ValueRanges) -> np.ndarray:
    """Pictures as the network sees them, uint8 (n, height, width, channels).

    Raises:
        DataError: None can be read.
    """
    rows = [render(image, rendition) for batch in opened(pictures, rendition, value_ranges) for _, image in batch]
    if not rows:
        raise DataError("--int8 is calibrated on the run's training pictures, and none of them can be read any more")
    return np.stack(rows)
