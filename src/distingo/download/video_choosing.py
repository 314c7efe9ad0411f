"""Which frames of a video are wanted: at an interval, between two times, and unlike the one before."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from distingo.errors import UsageError

if TYPE_CHECKING:
    from distingo.download.video_reading import Frame, Pixels

SIMILAR = 8.0
"""Default of ``--skip-similar``, in grey levels of 255."""

_CLOSE = 0.0005  # seconds; times are fractions of a video's clock
_SIDE = 32
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|frames?)")
_TIME = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d+)?)s?")


@dataclass(frozen=True, slots=True)
class Interval:
    """How far apart wanted frames are.

    Attributes:
        unit: What is counted; ``keyframes`` takes each frame that is coded on its own.
        amount: So many seconds or frames; 1 for ``keyframes``.
    """

    unit: Literal["seconds", "frames", "keyframes"]
    amount: float


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames are wanted.

    Attributes:
        every: How far apart.
        start: The first second to look at.
        end: The second to stop before; None goes to the end.
        similar: Leave out a frame that differs from the last kept one by less than so many grey levels of 255; None
            keeps all.
    """

    every: Interval
    start: float = 0.0
    end: float | None = None
    similar: float | None = None


def parse_interval(text: str) -> Interval:
    """Read ``1s``, ``250ms``, ``2min``, ``30frames`` or ``keyframes``.

    Raises:
        UsageError: It says something else, or nothing at all.
    """
    plain = text.strip().lower()
    if plain == "keyframes":
        return Interval("keyframes", 1)
    found = _INTERVAL.fullmatch(plain)
    amount = float(found[1]) if found else 0.0
    whole = found is not None and (not found[2].startswith("frame") or amount == int(amount))
    if found is None or not amount or not whole:
        raise UsageError(f"--every {text}: give 1s, 250ms, 2min, 30frames or keyframes, with a number above 0")
    if found[2].startswith("frame"):
        return Interval("frames", amount)
    return Interval("seconds", amount * _UNITS[found[2]])


def parse_time(text: str, option: str) -> float:
    """Read ``83.5``, ``1:23.5`` or ``1:02:03`` as seconds.

    Raises:
        UsageError: It is no time.
    """
    found = _TIME.fullmatch(text.strip().lower())
    if not found:
        raise UsageError(f"{option} {text}: give seconds (83.5) or hours, minutes and seconds (1:02:03.5)")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def choose_frames(frames: Iterable[Frame], choice: FrameChoice) -> Iterator[Frame]:
    """Pass on the frames that are due; stops reading after the end.

    Args:
        frames: In the order of their times.
        choice: Its `similar` is not looked at here.
    """
    seen = 0
    due = choice.start
    for frame in frames:
        if frame.seconds < choice.start - _CLOSE:
            continue
        if choice.end is not None and frame.seconds >= choice.end - _CLOSE:
            return
        if choice.every.unit == "keyframes":
            wanted = frame.is_key
        elif choice.every.unit == "frames":
            wanted = seen % int(choice.every.amount) == 0
        else:
            wanted = frame.seconds >= due - _CLOSE
        seen += 1
        if not wanted:
            continue
        passed = math.floor((frame.seconds - choice.start + _CLOSE) / choice.every.amount)
        due = choice.start + (passed + 1) * choice.every.amount
        yield frame


class SimilarityGate:
    """Tells a frame that shows the same as the last kept one.

    Frames are shrunk to 32 x 32 grey cells, which evens out the noise of coding. They are near-identical where not one
    cell differs by as much as the threshold: a small thing that moves changes some cells a lot, and the mean hardly.
    """

    def __init__(self, threshold: float | None) -> None:
        """Start with nothing kept; a threshold of None lets every frame pass."""
        self._threshold = threshold
        self._kept: Pixels | None = None

    def is_similar(self, pixels: Pixels) -> bool:
        """Whether a frame is near-identical to the last one for which this said no.

        Args:
            pixels: uint8 of shape (height, width, 3) in RGB.
        """
        if self._threshold is None:
            return False
        import cv2

        small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        cells: Pixels = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)  # type: ignore[assignment]
        if self._kept is not None and float(cv2.absdiff(cells, self._kept).max()) < self._threshold:
            return True
        self._kept = cells
        return False
