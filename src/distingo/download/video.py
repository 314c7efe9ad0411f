"""Extraction of frames of a video into a folder, with the time in each file name."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from distingo.download.video_frames import FrameChoice, SimilarityGate, VideoReader, choose_frames, refuse_images
from distingo.errors import DataError, ResourceError, UsageError, option
from distingo.files import atomic_writer, content_hash, read_json, write_json
from distingo.progress import progress_bar
from distingo.safe_paths import safe_name

if TYPE_CHECKING:
    from distingo.download.video_frames import Pixels

FrameFormat = Literal["jpeg", "png"]
FRAME_FORMATS: tuple[FrameFormat, ...] = get_args(FrameFormat)

FrameOutcome = Literal["written", "there already", "near-identical"]

_ENDINGS: dict[FrameFormat, str] = {"jpeg": "jpg", "png": "png"}
_QUALITY = 95
_SAMPLE = 1 << 20


@dataclass(frozen=True, slots=True)
class FrameRow:
    """Outcome for one selected frame.

    Attributes:
        file: File name in the folder; for a near-identical frame, the name that it would have.
        seconds: Time since the video's beginning.
        outcome: Written now, written by an earlier run, or left out for being similar to the last kept frame.
    """

    file: str
    seconds: float
    outcome: FrameOutcome


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """The selected frames of a video.

    Attributes:
        folder: The folder of the frames.
        record: The JSON file that describes the source of the frames.
        frames: Every selected frame, in order of time.
        fault: The fault of the video, for people; empty if there is none.
    """

    folder: Path
    record: Path
    frames: tuple[FrameRow, ...]
    fault: str = ""

    def count(self, outcome: FrameOutcome) -> int:
        """Return the number of frames with an outcome."""
        return sum(row.outcome == outcome for row in self.frames)


def extract_frames(
    video: Path,
    output: Path,
    choice: FrameChoice,
    *,
    label: str | None = None,
    limit: int | None = None,
    image_format: FrameFormat = "jpeg",
) -> VideoFrames:
    """Write selected frames of a video into a folder.

    File names consist of the video's name and the time, so that they sort by time. Frames that an earlier run wrote are
    not written again. A record next to the frames identifies the video, to detect another video with the same name.

    Args:
        video: A file that FFmpeg can read.
        output: The output folder; created if missing.
        choice: Which frames to write.
        label: Class folder inside `output`; None writes into `output` itself.
        limit: Maximum number of frames.
        image_format: ``jpeg`` (quality 95) or ``png``.

    Returns:
        The outcome for every selected frame.

    Raises:
        DataError: The file is not a video, or none of its frames can be decoded.
        ResourceError: OpenCV is not installed, the disk is full, or the folder contains other files of these names.
        UsageError: The label can't be used as the name of a folder, or no part of the video is between the times.
    """
    folder = output / check_label(label) if label is not None else output
    refuse_images(video)
    with contextlib.closing(VideoReader(video)) as reader:
        _check_times(video, choice, reader.duration)
        record = output / ".".join(filter(None, ("frames", label, video.stem, "json")))
        if resumed := _claim(record, video):
            _remove_half_written(folder, video.stem)
        writer = _FrameWriter(folder, video.stem, image_format, SimilarityGate(choice.similar), resumed=resumed)
        rows = tuple(_write_all(reader, choice, writer, limit))
        fault = reader.fault()
        if not rows and reader.last < 0:
            raise DataError(
                f"{video}: no frame of it can be decoded; give another copy", code="damaged_file", parameter="video"
            )
        result = VideoFrames(folder, record, rows, fault)
        write_json(
            record, _identity(video) | {"choice": asdict(choice), "fault": fault, "frames": [*map(asdict, rows)]}
        )
    return result


def _check_times(video: Path, choice: FrameChoice, duration: float) -> None:
    if choice.end is not None and choice.end <= choice.start:
        raise UsageError(
            f"{option('end')} {choice.end:g} s is not after {option('start')} {choice.start:g} s; give a later end",
            code="out_of_range",
            parameter="end",
        )
    if 0 < duration <= choice.start:
        raise UsageError(
            f"{video}: lasts {duration:.1f} s, and {option('start')} is {choice.start:g} s; give an earlier start",
            code="out_of_range",
            parameter="start",
        )


def _write_all(reader: VideoReader, choice: FrameChoice, writer: _FrameWriter, limit: int | None) -> Iterator[FrameRow]:
    end = reader.duration if choice.end is None else min(choice.end, reader.duration)
    kept_count = 0
    with progress_bar(f"Reading {writer.stem}", math.ceil(max(0.0, end - choice.start))) as advance:
        reported = 0
        for frame in choose_frames(reader.frames(choice.start), choice):
            row = writer.write(frame.seconds, frame.pixels())
            yield row
            kept_count += row.outcome != "near-identical"
            reached = max(reported, int(frame.seconds - choice.start))
            advance(reached - reported, f"{kept_count:,} frames")
            reported = reached
            if limit is not None and kept_count >= limit:
                return


@dataclass(slots=True)
class _FrameWriter:
    """Writes frames that do not exist yet and are not similar to the last one."""

    folder: Path
    stem: str
    image_format: FrameFormat
    gate: SimilarityGate
    resumed: bool

    def write(self, seconds: float, pixels: Pixels) -> FrameRow:
        name = frame_name(self.stem, seconds, self.image_format)
        if self.gate.is_similar(pixels):
            return FrameRow(name, seconds, "near-identical")
        path = self.folder / name
        if path.exists():
            if not self.resumed:
                raise ResourceError(
                    f"{path}: exists already, and no record says where from; choose another {option('output')}",
                    code="already_exists",
                    parameter="output",
                )
            return FrameRow(name, seconds, "there already")
        from PIL import Image

        with atomic_writer(path) as file:
            Image.fromarray(pixels).save(file, self.image_format.upper(), quality=_QUALITY)
        return FrameRow(name, seconds, "written")


def frame_name(stem: str, seconds: float, image_format: FrameFormat) -> str:
    """Return the file name of a frame, for example ``clip_01h02m03.400s.jpg``."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{stem}_{hours:02d}h{minutes:02d}m{rest // 1000:02d}.{rest % 1000:03d}s.{_ENDINGS[image_format]}"


def check_label(label: str) -> str:
    """Check that a label is a valid folder name on every system, and return it.

    Raises:
        UsageError: The label is not valid.
    """
    if label != safe_name(label):
        raise UsageError(
            f"{option('label')} {label!r}: can't be a folder's name; give for example {safe_name(label)!r}",
            code="invalid_name",
            parameter="label",
        )
    return label


def _remove_half_written(folder: Path, stem: str) -> None:
    """Remove temporary files of a killed run."""
    ours = re.compile(rf"\.{re.escape(stem)}_\d\dh\d\dm\d\d\.\d{{3}}s\.(jpg|png)\.[a-z0-9_]{{8}}")
    for path in folder.glob(".*"):
        if ours.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def _identity(video: Path) -> dict[str, object]:
    """Return values that identify a video: name, size, and a hash of its first and last mebibyte."""
    size = video.stat().st_size
    with video.open("rb") as file:
        head = file.read(_SAMPLE)
        file.seek(max(0, size - _SAMPLE))
        return {"video": video.name, "bytes": size, "content": content_hash(head, file.read(_SAMPLE))}


def _claim(record: Path, video: Path) -> bool:
    """Record that frames of this video are being written; returns whether the record existed before.

    Raises:
        ResourceError: The record belongs to another video.
    """
    identity = _identity(video)
    if not record.exists():
        write_json(record, identity | {"frames": []})
        return False
    content = read_json(record)
    recorded = {key: content.get(key) for key in identity} if isinstance(content, dict) else {}
    if recorded != identity:
        raise ResourceError(
            f"{record}: speaks of another video of that name; choose another {option('output')} or {option('label')}",
            code="already_exists",
            parameter="output",
        )
    return True
