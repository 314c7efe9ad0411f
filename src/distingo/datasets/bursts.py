"""Bursts: pictures that one camera took within seconds of each other, by the time in their EXIF data."""

from __future__ import annotations

import contextlib
import datetime
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from distingo.datasets.decoding import UndecodableError, read_bytes, read_exif
from distingo.datasets.grouping import Links
from distingo.progress import progress_bar
from distingo.records import Picture, Source

BURST_SECONDS = 2.0
"""Pictures of one camera that follow each other within so many seconds show the same scene, as a rule."""

_MAKE, _MODEL = 0x010F, 0x0110
_TAKEN, _FRACTION, _SERIAL = 0x9003, 0x9291, 0xA431
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Shot:
    """When and with what a picture was taken.

    Attributes:
        camera: Make, model and, where the file says it, serial number.
        seconds: The camera's own clock (EXIF's DateTimeOriginal with SubSecTimeOriginal), in seconds; only
            differences mean something.
    """

    camera: tuple[str, str, str]
    seconds: float


def find_bursts(pictures: Sequence[Picture], *, within: float = BURST_SECONDS, workers: int = 1) -> Links:
    """Link pictures of one camera that follow each other closely; a long burst is a chain.

    Args:
        pictures: Whose files are looked at again, their headers only; entries of IDX files say nothing.
        within: Seconds between one picture and the next; 0 links only those of the same instant.
        workers: Threads.

    Returns:
        Pairs of positions in `pictures`. A picture without camera or without time is in none.
    """
    cameras: dict[tuple[str, str, str], list[tuple[float, int]]] = defaultdict(list)
    for at, shot in enumerate(_read_shots(pictures, workers)):
        if shot is not None:
            cameras[shot.camera].append((shot.seconds, at))
    pairs = []
    for shots in cameras.values():
        shots.sort()
        for (before, one), (after, other) in pairwise(shots):
            if after - before <= within + 1e-4:  # seconds since year 1 are exact to about 1e-5
                pairs.append((one, other))
    return Links("burst", tuple(pairs))


def read_shot(source: Source) -> Shot | None:
    """When and with what a picture was taken.

    Returns:
        None where the file does not say both, or can't be read.
    """
    if source.index is not None:
        return None
    try:
        exif = read_exif(read_bytes(source))
    except UndecodableError:
        return None
    make, model, serial = (_text(exif.get(tag)) for tag in (_MAKE, _MODEL, _SERIAL))
    seconds = _seconds(_text(exif.get(_TAKEN)), _text(exif.get(_FRACTION)))
    if seconds is None or not (make or model):
        return None
    return Shot((make, model, serial), seconds)


def _read_shots(pictures: Sequence[Picture], workers: int) -> list[Shot | None]:
    sources = [picture.source for picture in pictures]
    chunks = [sources[at : at + _CHUNK] for at in range(0, len(sources), _CHUNK)]
    shots: list[Shot | None] = []
    with ThreadPoolExecutor(workers) as pool, progress_bar("Looking for bursts", len(sources)) as advance:
        for found in pool.map(lambda chunk: [read_shot(source) for source in chunk], chunks):
            shots += found
            advance(len(found))
    return shots


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return str(value or "").strip(" \0\t\r\n")


def _seconds(taken: str, fraction: str) -> float | None:
    """The camera's clock, or None where it was never set (0000:00:00) or is no time."""
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.datetime.strptime(taken, "%Y:%m:%d %H:%M:%S")
        digits = fraction if fraction.isdecimal() and fraction.isascii() else "0"
        return (moment - datetime.datetime(1, 1, 1)).total_seconds() + float(f"0.{digits}")
    return None
