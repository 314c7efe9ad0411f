"""Bursts by EXIF that a real writer wrote."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from drawing import noise
from PIL import ExifTags, Image

from distingo.datasets.splits.grouping import Shot, find_bursts, read_shot
from distingo.records import LabeledImage, Source

CANON = {"Make": "Canon", "Model": "EOS R6"}


def take(path: Path, taken: str | None, fraction: str | None = None, **camera: str) -> LabeledImage:
    exif = Image.Exif()
    for name, value in camera.items():
        exif[ExifTags.Base[name].value] = value
    inside = exif.get_ifd(ExifTags.IFD.Exif)
    if taken is not None:
        inside[ExifTags.Base.DateTimeOriginal.value] = taken
    if fraction is not None:
        inside[ExifTags.Base.SubsecTimeOriginal.value] = fraction
    noise(7).save(path, exif=exif)
    return LabeledImage(Source(path.name, path), ("a",), path.name, path.name, 12, 10)


def test_a_shot_has_a_camera_and_a_time(tmp_path: Path) -> None:
    one = read_shot(take(tmp_path / "a.jpg", "2024:05:01 10:00:00", "25", **CANON).source)
    other = read_shot(take(tmp_path / "b.webp", "2024:05:01 10:00:01", "5", **CANON).source)
    assert one is not None
    assert other is not None
    assert one.camera == other.camera == ("Canon", "EOS R6", "")
    assert np.isclose(other.seconds - one.seconds, 1.25, atol=1e-4)


def test_what_says_no_camera_or_no_time_is_no_shot(tmp_path: Path) -> None:
    taken = "2024:05:01 10:00:00"
    assert read_shot(take(tmp_path / "a.jpg", taken).source) is None
    assert read_shot(take(tmp_path / "b.jpg", None, **CANON).source) is None
    assert read_shot(take(tmp_path / "c.jpg", "0000:00:00 00:00:00", **CANON).source) is None
    assert read_shot(take(tmp_path / "d.jpg", "yesterday", **CANON).source) is None
    (tmp_path / "e.jpg").write_bytes(b"no picture")
    assert read_shot(Source("e.jpg", tmp_path / "e.jpg")) is None
    assert read_shot(Source("gone.jpg", tmp_path / "gone.jpg")) is None
    assert read_shot(Source("t10k#3", tmp_path / "t10k", 3)) is None
    assert isinstance(read_shot(take(tmp_path / "f.jpg", taken, "x", Model="only").source), Shot)


def test_bursts_are_chains_of_one_camera(tmp_path: Path) -> None:
    images = [
        take(tmp_path / "0.jpg", "2024:05:01 10:00:00", "00", **CANON),
        take(tmp_path / "1.jpg", "2024:05:01 10:00:03", "90", **CANON),
        take(tmp_path / "2.jpg", "2024:05:01 10:00:02", "00", **CANON),  # 2.0 s after the first, 1.9 s before the next
        take(tmp_path / "3.jpg", "2024:05:01 10:00:06", "00", **CANON),  # 2.1 s after
        take(tmp_path / "4.jpg", "2024:05:01 10:00:02", "00", Make="Nikon", Model="Z6"),
        take(tmp_path / "5.jpg", None),
    ]
    assert set(find_bursts(images, within=2.0, workers=2).pairs) == {(0, 2), (2, 1)}
    assert set(find_bursts(images, within=2.2).pairs) == {(0, 2), (2, 1), (1, 3)}
    assert find_bursts(images, within=0.0).pairs == ()


def test_the_same_instant_is_a_burst_at_zero_seconds(tmp_path: Path) -> None:
    images = [take(tmp_path / f"{at}.jpg", "2024:05:01 10:00:00", "5", **CANON) for at in range(2)]
    assert find_bursts(images, within=0.0).pairs == ((0, 1),)


def test_two_cameras_of_one_model_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    images = []
    for at in range(2):
        exif = Image.Exif()
        exif[ExifTags.Base.Model.value] = "Phone"
        inside = exif.get_ifd(ExifTags.IFD.Exif)
        inside[ExifTags.Base.DateTimeOriginal.value] = "2024:05:01 10:00:00"
        inside[ExifTags.Base.BodySerialNumber.value] = f"number {at}"
        buffer = io.BytesIO()
        noise(at).save(buffer, "JPEG", exif=exif)
        (tmp_path / f"{at}.jpg").write_bytes(buffer.getvalue())
        images.append(LabeledImage(Source(f"{at}.jpg", tmp_path / f"{at}.jpg"), ("a",), str(at), str(at), 12, 10))
    assert find_bursts(images).pairs == ()
