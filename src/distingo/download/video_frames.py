"""The frames of a video: read one after another, upright, each with its time, and chosen by time and similarity."""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

from distingo.datasets.decoding.formats import detect_file_format
from distingo.download.records import IMAGES
from distingo.errors import DataError, ResourceError, UsageError, option
from distingo.options.fields import Option

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


SIMILAR = 8.0
"""Default of ``--skip-similar``, in gray levels of 255."""

_CLOSE = 0.0005  # seconds; times are fractions of a video's clock
_SIDE = 32
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}
_RUN_UP = 10.0  # seconds that a jump aims before the requested time, since it may land late
_MISSING = 0.5  # seconds that may be missing at the end of a sound video

_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|frames?)")

_TIME = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d+)?)s?")


@dataclass(frozen=True, slots=True)
class Interval:
    """How far apart the chosen frames are.

    Attributes:
        unit: What is counted; ``keyframes`` takes each frame that is coded on its own.
        amount: So many seconds or frames; 1 for ``keyframes``.
    """

    unit: Literal["seconds", "frames", "keyframes"]
    amount: float


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames are written."""

    every: Annotated[
        Interval,
        Option(
            help="interval between frames: 1s, 250ms, 2min, 30frames or keyframes",
            default="1s",
            metavar="INTERVAL",
            parse=parse_interval,
        ),
    ]
    start: Annotated[
        float,
        Option(
            help="time to start at: seconds (83.5), or 1:02:03",
            metavar="TIME",
            parse=partial(parse_time, parameter="start"),
        ),
    ] = 0.0
    end: Annotated[
        float | None,
        Option(
            help="time to stop before",
            default="the video's end",
            metavar="TIME",
            parse=partial(parse_time, parameter="end"),
        ),
    ] = None
    similar: Annotated[
        float | None,
        Option(
            help=f"leave out a frame of which no part differs from the last kept one by so many gray levels of 255 "
            f"({SIMILAR:g} without a number)",
            low=0,
            default="all are kept",
            metavar="LEVELS",
            flag="--skip-similar",
        ),
    ] = None


def parse_interval(text: str) -> Interval:
    """Read ``1s``, ``250ms``, ``2min``, ``30frames`` or ``keyframes``.

    Raises:
        UsageError: It is something else.
    """
    plain = text.strip().lower()
    if plain == "keyframes":
        return Interval("keyframes", 1)
    found = _INTERVAL.fullmatch(plain)
    amount = float(found[1]) if found else 0.0
    whole = found is not None and (not found[2].startswith("frame") or amount == int(amount))
    if found is None or not amount or not whole:
        raise UsageError(
            f"{option('every')} {text}: give 1s, 250ms, 2min, 30frames or keyframes, with a number above 0",
            code="invalid_value",
            parameter="every",
        )
    if found[2].startswith("frame"):
        return Interval("frames", amount)
    return Interval("seconds", amount * _UNITS[found[2]])


def parse_time(text: str, parameter: str) -> float:
    """Read ``83.5``, ``1:23.5`` or ``1:02:03`` as seconds.

    Raises:
        UsageError: It is no time.
    """
    found = _TIME.fullmatch(text.strip().lower())
    if not found:
        raise UsageError(
            f"{option(parameter)} {text}: give seconds (83.5) or hours, minutes and seconds (1:02:03.5)",
            code="invalid_value",
            parameter=parameter,
        )
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def choose_frames(frames: Iterable[Frame], choice: FrameChoice) -> Iterator[Frame]:
    """Yield the frames that are due; stops reading after the end.

    Args:
        frames: In the order of their times.
        choice: Its `similar` is not used here.
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
    """Recognizes a frame that shows the same as the last kept one.

    Frames are shrunk to 32 x 32 gray cells, which evens out the noise of coding. They are near-identical where no cell
    differs by as much as the threshold: a small thing that moves changes some cells a lot, and the mean hardly.
    """

    def __init__(self, threshold: float | None) -> None:
        """Start with nothing kept; a threshold of None lets every frame pass."""
        self._threshold = threshold
        self._kept: Pixels | None = None

    def is_similar(self, pixels: Pixels) -> bool:
        """Whether a frame is near-identical to the last one for which this returned False.

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


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, decoded but not yet converted.

    Attributes:
        seconds: Since the video's beginning, from its own clock; from its frame rate where it has none.
        is_key: Whether it is coded without reference to other frames.
        pixels: Gives the frame, upright, as uint8 of shape (height, width, 3) in RGB; only before the next frame is
            requested.
    """

    seconds: float
    is_key: bool
    pixels: Callable[[], Pixels]


class VideoReader:
    """Reads one video from front to back.

    Attributes:
        duration: Seconds that its header announces; 0.0 where it announces none.
        last: Time of the last frame that was read, in seconds; -1.0 before the first.
    """

    def __init__(self, path: Path) -> None:
        """Open the video.

        Raises:
            DataError: The file can't be read as a video.
            ResourceError: OpenCV is not installed.
        """
        self._library = _import_library()
        self._path = path
        self._open()
        count = self._capture.get(self._library.CAP_PROP_FRAME_COUNT)
        self._announced = int(count) if count > 0 and self._rate > 0 else 0
        self.duration = self._announced / self._rate if self._announced else 0.0

    def _open(self) -> None:
        self._read = 0
        self._ended = self._jumped = False
        self.last = -1.0
        self._capture = self._library.VideoCapture(str(self._path.absolute()), self._library.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise DataError(f"{self._path}: {_why_not(self._path)}", code="damaged_file", parameter="video")
        self._rate = float(self._capture.get(self._library.CAP_PROP_FPS))

    def frames(self, start: float = 0.0) -> Iterator[Frame]:
        """Read frames in the order in which they are shown.

        Args:
            start: Seconds; what is well before is skipped where the video allows it.
        """
        if start > _RUN_UP and self.duration > start:
            self._jump(start)
        while self._capture.grab():
            self._read += 1
            self.last = self._time()
            key = self._capture.get(self._library.CAP_PROP_FRAME_TYPE) == ord("I")
            yield Frame(self.last, key, self._pixels)
        self._ended = True

    def _jump(self, start: float) -> None:
        """Go to some frame before `start`, or back to the beginning if that is not where the jump ended."""
        self._jumped = True
        self._capture.set(self._library.CAP_PROP_POS_MSEC, (start - _RUN_UP) * 1000)
        if not self._capture.grab() or self._clock() >= start:
            self._capture.release()
            self._open()

    def _clock(self) -> float:
        return float(self._capture.get(self._library.CAP_PROP_POS_MSEC)) / 1000

    def _time(self) -> float:
        """The frame's own time where it is later than the last frame's, else one step after that."""
        now = self._clock()
        if now > self.last:
            return now
        return self.last + (1 / self._rate if self._rate > 0 else 0.04)

    def _pixels(self) -> Pixels:
        _, frame = self._capture.retrieve()
        pixels: Pixels = self._library.cvtColor(frame, self._library.COLOR_BGR2RGB)
        return pixels

    def fault(self) -> str:
        """What is wrong with a video that was read to its end; empty where nothing is, or where it wasn't."""
        if not self._ended:
            return ""
        if self.last < 0:
            return "no frame of it can be decoded"
        missing = self.duration - self.last - 1 / self._rate
        if missing <= _MISSING or (not self._jumped and self._read >= self._announced):
            return ""
        return (
            f"breaks off at {self.last:.1f} s, though it says that it lasts {self.duration:.1f} s; "
            "the frames up to there are kept"
        )

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def _import_library() -> ModuleType:
    # Both read their levels when they are loaded; `fault` and errors report what they would print.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError as error:
        raise ResourceError(
            f'reading videos needs OpenCV ({error}); run `pip install "distingo[video]"`', code="missing_extra"
        ) from error
    return cv2


def _why_not(path: Path) -> str:
    """Why a file that does not open as a video does not."""
    try:
        kind = detect_file_format(path)
    except FileNotFoundError:
        return "no such file; check the spelling"
    except OSError as error:
        return f"can't be read ({error.strerror}); give a video file"
    if kind == "MP4 video" and not _has_index(path):
        return "is a video without its index, as when recording or copying broke off; copy it again"
    if "video" in kind:
        return "holds no pictures that can be decoded, perhaps sound only; convert it, for example to H.264 in MP4"
    return f"is no video that can be read (its content: {kind}); give a video file"


def _has_index(path: Path) -> bool:
    """Whether an MP4 file has its ``moov`` box (ISO/IEC 14496-12), which recorders write last."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() + 8 <= end:
            start = file.tell()
            size, kind = struct.unpack(">I4s", file.read(8))
            if kind == b"moov":
                return bool(start + size <= end)
            if size == 1:  # a 64-bit size follows
                size = int.from_bytes(file.read(8), "big")
            if size < 8:
                return False
            file.seek(start + size)
    return False


def refuse_images(path: Path) -> None:
    """Refuse an image, which decoders would take for a video of one frame.

    Raises:
        DataError: It is one.
    """
    try:
        kind = detect_file_format(path)
    except OSError:
        return  # opening it as a video raises
    if kind in IMAGES - {"GIF"}:
        raise DataError(
            f"{path}: is a picture ({kind}), not a video; give a video file", code="wrong_format", parameter="video"
        )
