"""Sequential reading of the frames of a video with their times, and selection of frames by time and similarity."""

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
"""Default of ``--skip-similar``, in gray levels (0 to 255)."""

_CLOSE = 0.0005  # seconds; times are fractions of a video's clock
_SIDE = 32
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}
_RUN_UP = 10.0  # seconds before the requested time to seek to, since seeking is inexact
_MISSING = 0.5  # seconds that may be missing at the end of an intact video

_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|frames?)")

_TIME = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d+)?)s?")


@dataclass(frozen=True, slots=True)
class Interval:
    """Distance between selected frames.

    Attributes:
        unit: Unit of `amount`; ``keyframes`` selects all keyframes.
        amount: Number of seconds or frames; 1 for ``keyframes``.
    """

    unit: Literal["seconds", "frames", "keyframes"]
    amount: float


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames of a video to write."""

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
    """Parse ``1s``, ``250ms``, ``2min``, ``30frames`` or ``keyframes``.

    Raises:
        UsageError: The text is not an interval.
    """
    normalized = text.strip().lower()
    if normalized == "keyframes":
        return Interval("keyframes", 1)
    match = _INTERVAL.fullmatch(normalized)
    amount = float(match[1]) if match else 0.0
    is_valid = match is not None and (not match[2].startswith("frame") or amount == int(amount))
    if match is None or not amount or not is_valid:
        raise UsageError(
            f"{option('every')} {text}: give 1s, 250ms, 2min, 30frames or keyframes, with a number above 0",
            code="invalid_value",
            parameter="every",
        )
    if match[2].startswith("frame"):
        return Interval("frames", amount)
    return Interval("seconds", amount * _UNITS[match[2]])


def parse_time(text: str, parameter: str) -> float:
    """Parse ``83.5``, ``1:23.5`` or ``1:02:03``; returns seconds.

    Args:
        text: The text.
        parameter: The option's keyword, for the error message.

    Raises:
        UsageError: The text is not a time.
    """
    match = _TIME.fullmatch(text.strip().lower())
    if not match:
        raise UsageError(
            f"{option(parameter)} {text}: give seconds (83.5) or hours, minutes and seconds (1:02:03.5)",
            code="invalid_value",
            parameter=parameter,
        )
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def choose_frames(frames: Iterable[Frame], choice: FrameChoice) -> Iterator[Frame]:
    """Select frames by time, and stop reading after the end time.

    Args:
        frames: Frames in order of time.
        choice: Which frames to select; `similar` is not used here.
    """
    index = 0
    due = choice.start
    for frame in frames:
        if frame.seconds < choice.start - _CLOSE:
            continue
        if choice.end is not None and frame.seconds >= choice.end - _CLOSE:
            return
        if choice.every.unit == "keyframes":
            is_due = frame.is_key
        elif choice.every.unit == "frames":
            is_due = index % int(choice.every.amount) == 0
        else:
            is_due = frame.seconds >= due - _CLOSE
        index += 1
        if not is_due:
            continue
        passed = math.floor((frame.seconds - choice.start + _CLOSE) / choice.every.amount)
        due = choice.start + (passed + 1) * choice.every.amount
        yield frame


class SimilarityGate:
    """Detects frames that are near-identical to the last kept one.

    Frames are reduced to 32 x 32 gray cells, which averages out compression noise. They are near-identical if no cell
    differs by the threshold or more: a small moving object changes some cells a lot, but hardly changes the mean.
    """

    def __init__(self, threshold: float | None) -> None:
        """Create a gate without a kept frame; with a threshold of None, no frame is similar."""
        self._threshold = threshold
        self._last: Pixels | None = None

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
        if self._last is not None and float(cv2.absdiff(cells, self._last).max()) < self._threshold:
            return True
        self._last = cells
        return False


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, decoded but not yet converted.

    Attributes:
        seconds: Time since the video's beginning, from its timestamps, or from its frame rate if it has none.
        is_key: Whether it is a keyframe.
        pixels: Returns the upright frame as uint8 RGB of shape (height, width, 3); must be called before the next frame
            is read.
    """

    seconds: float
    is_key: bool
    pixels: Callable[[], Pixels]


class VideoReader:
    """Reads the frames of a video in order.

    Attributes:
        duration: Duration in the header in seconds; 0.0 if the header has none.
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
            raise DataError(f"{self._path}: {_describe_failure(self._path)}", code="damaged_file", parameter="video")
        self._rate = float(self._capture.get(self._library.CAP_PROP_FPS))

    def frames(self, start: float = 0.0) -> Iterator[Frame]:
        """Read frames in presentation order.

        Args:
            start: Start time in seconds; earlier parts are skipped if the video is seekable. The first frames may still
                be before it.
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
        """Seek to a frame before `start`; if that fails, return to the beginning."""
        self._jumped = True
        self._capture.set(self._library.CAP_PROP_POS_MSEC, (start - _RUN_UP) * 1000)
        if not self._capture.grab() or self._clock() >= start:
            self._capture.release()
            self._open()

    def _clock(self) -> float:
        return float(self._capture.get(self._library.CAP_PROP_POS_MSEC)) / 1000

    def _time(self) -> float:
        """Return the frame's timestamp if it is later than that of the last frame, else one frame duration after it."""
        now = self._clock()
        if now > self.last:
            return now
        return self.last + (1 / self._rate if self._rate > 0 else 0.04)

    def _pixels(self) -> Pixels:
        _, frame = self._capture.retrieve()
        pixels: Pixels = self._library.cvtColor(frame, self._library.COLOR_BGR2RGB)
        return pixels

    def fault(self) -> str:
        """Describe the fault of a video that was read to its end; empty if there is none, or before the end."""
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
    # Both libraries read their log levels when they are loaded; `fault` and exceptions report what they would print.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError as error:
        raise ResourceError(
            f'reading videos needs OpenCV ({error}); run `pip install "distingo[video]"`', code="missing_extra"
        ) from error
    return cv2


def _describe_failure(path: Path) -> str:
    """Explain why a file can't be opened as a video."""
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
    """Raise an error for an image, which decoders would open as a video of one frame.

    Raises:
        DataError: The file is an image.
    """
    try:
        kind = detect_file_format(path)
    except OSError:
        return  # opening the file as a video raises the error
    if kind in IMAGES - {"GIF"}:
        raise DataError(
            f"{path}: is a picture ({kind}), not a video; give a video file", code="wrong_format", parameter="video"
        )
