"""Tiny videos, drawn and damaged by the tests."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

RATE = 10


def draw_video(path: Path, codec: str = "mp4v", *, frames: int = 60, still: range = range(0)) -> Path:
    """64 x 48 pixels, 10 a second: the left half is red, a bar grows by a pixel a frame, but not while `still`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), RATE, (64, 48))
    assert writer.isOpened()
    width = 0
    for index in range(frames):
        width += index not in still
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[:, :32] = (0, 0, 255)
        frame[40:, :width] = 255
        writer.write(frame)
    writer.release()
    return path


def turn(path: Path) -> Path:
    """Write into an MP4 file what a phone held upright writes: turn by 90 degrees clockwise to show."""
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 4 + 40  # version, flags, times, track, duration, layer, volume come before it
    assert struct.unpack(">9i", content[matrix : matrix + 36]) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(content[:matrix] + turned + content[matrix + 36 :])
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file only."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
