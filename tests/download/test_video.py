from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from video_files import cut, draw_video, turn

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.download.video import VideoFrames, extract_frames
from distingo.download.video_frames import FrameChoice, parse_interval
from distingo.errors import DataError, ResourceError, UsageError
from raising import raises


def extract(video: Path, output: Path, every: str = "1s", **settings) -> VideoFrames:
    choice = {key: settings.pop(key) for key in ("start", "end", "similar") if key in settings}
    return extract_frames(video, output, FrameChoice(parse_interval(every), **choice), **settings)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".json")


def test_a_frame_every_second_is_named_by_its_time(tmp_path: Path) -> None:
    result = extract(draw_video(tmp_path / "clip.mp4"), tmp_path / "out")
    expected = [f"clip_00h00m0{second}.000s.jpg" for second in range(6)]
    assert names(tmp_path / "out") == expected
    assert [row.file for row in result.frames] == expected
    assert result.count("written") == 6
    assert result.fault == ""


def test_frames_show_what_the_video_shows_then(tmp_path: Path) -> None:
    extract(draw_video(tmp_path / "clip.avi", "MJPG"), tmp_path / "out", "20frames", image_format="png")
    for file, width in zip(names(tmp_path / "out"), (1, 21, 41), strict=True):
        pixels = np.asarray(Image.open(tmp_path / "out" / file).convert("RGB"))
        assert pixels.shape == (48, 64, 3)
        assert abs(int((pixels[45, :, 1] > 128).sum()) - width) <= 1
        assert pixels[10, 10, 0] > 200 > 50 > pixels[10, 10, 2]  # red, not blue


def test_start_end_and_limit(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "clip.mp4")
    extract(video, tmp_path / "a", "500ms", start=2.0, end=4.0)
    assert [name[5:-4] for name in names(tmp_path / "a")] == [
        "00h00m02.000s",
        "00h00m02.500s",
        "00h00m03.000s",
        "00h00m03.500s",
    ]
    extract(video, tmp_path / "b", "1s", start=2.0, limit=2)
    assert [name[5:-4] for name in names(tmp_path / "b")] == ["00h00m02.000s", "00h00m03.000s"]


def test_times_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "clip.mp4")
    with raises(UsageError, code="out_of_range", parameter="start"):
        extract(video, tmp_path / "out", start=6.0)
    with raises(UsageError, code="out_of_range", parameter="end"):
        extract(video, tmp_path / "out", start=3.0, end=2.0)
    assert not (tmp_path / "out").exists()


def test_a_late_start_is_jumped_to(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "long.mp4", frames=600)
    extract(video, tmp_path / "out", "1s", start=57.0)
    assert [name[5:-4] for name in names(tmp_path / "out")] == ["00h00m57.000s", "00h00m58.000s", "00h00m59.000s"]


def test_a_jump_that_lands_too_late_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = cv2.VideoCapture

    class Overshooting:
        def __init__(self, *words: object) -> None:
            self._real = opened(*words)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def set(self, setting: int, value: float) -> bool:
            return self._real.set(setting, value + 11_000)

    video = draw_video(tmp_path / "long.mp4", frames=600)
    monkeypatch.setattr(cv2, "VideoCapture", Overshooting)
    extract(video, tmp_path / "out", "1s", start=57.0)
    assert [name[5:-4] for name in names(tmp_path / "out")] == ["00h00m57.000s", "00h00m58.000s", "00h00m59.000s"]


def test_a_stream_without_a_clock_is_timed_by_its_rate(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "raw.m4v")
    result = extract(video, tmp_path / "out", "10frames")
    assert len(result.frames) == 6
    assert [row.seconds for row in result.frames] == pytest.approx(list(range(6)))


def test_key_frames_only(tmp_path: Path) -> None:
    result = extract(draw_video(tmp_path / "clip.mp4"), tmp_path / "out", "keyframes")
    assert [row.seconds for row in result.frames] == pytest.approx([0.0, 1.2, 2.4, 3.6, 4.8])


def test_near_identical_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "clip.mp4", still=range(10, 40))
    assert extract(video, tmp_path / "all").count("written") == 6
    result = extract(video, tmp_path / "out", similar=8.0)
    assert [row.outcome for row in result.frames] == [
        "written",
        "written",
        "near-identical",
        "near-identical",
        "written",
        "written",
    ]
    assert len(names(tmp_path / "out")) == 4


def test_a_phone_video_comes_out_upright(tmp_path: Path) -> None:
    extract(turn(draw_video(tmp_path / "phone.mp4")), tmp_path / "out", limit=1)
    pixels = np.asarray(Image.open(tmp_path / "out" / "phone_00h00m00.000s.jpg"))
    assert pixels.shape == (64, 48, 3)
    assert pixels[8, 24, 0] > 200 > 50 > pixels[56, 24, 0]  # the left half, red, is on top now


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "MJPG"), ("clip.mkv", "mp4v")])
def test_of_a_truncated_video_what_there_is_is_kept(tmp_path: Path, name: str, codec: str) -> None:
    result = extract(cut(draw_video(tmp_path / name, codec), 0.6), tmp_path / "out")
    assert 2 <= result.count("written") < 6
    assert re.match(r"breaks off at [23]\.\d s, though", result.fault)
    assert "lasts 6.0 s" in result.fault
    assert json.loads(result.record.read_text(encoding="utf-8"))["fault"] == result.fault


def test_a_truncated_video_is_no_fault_where_the_end_was_not_asked_for(tmp_path: Path) -> None:
    assert extract(cut(draw_video(tmp_path / "clip.mkv"), 0.6), tmp_path / "out", end=1.5).fault == ""


def test_a_video_without_its_index_is_told_from_other_files(tmp_path: Path) -> None:
    with raises(DataError, code="damaged_file", parameter="video"):
        extract(cut(draw_video(tmp_path / "clip.mp4"), 0.6), tmp_path / "out")
    sound = draw_video(tmp_path / "sound.mp4")
    sound.write_bytes(sound.read_bytes().replace(b"vide", b"soun").replace(b"mp4v\x00", b"xxxx\x00"))
    with raises(DataError, code="damaged_file", parameter="video"):
        extract(sound, tmp_path / "out")
    text = tmp_path / "notes.mp4"
    text.write_text("not a video\n")
    with raises(DataError, code="damaged_file", parameter="video"):
        extract(text, tmp_path / "out")
    image = tmp_path / "picture.mp4"
    Image.new("RGB", (8, 8)).save(image, "PNG")
    with raises(DataError, code="wrong_format", parameter="video"):
        extract(image, tmp_path / "out")
    with raises(DataError, code="damaged_file", parameter="video"):
        extract(tmp_path / "nowhere.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_of_any_script(tmp_path: Path) -> None:
    result = extract(draw_video(tmp_path / "ö 視頻.avi", "MJPG"), tmp_path / "ö", label="Fußball 球")
    assert names(tmp_path / "ö" / "Fußball 球")[0] == "ö 視頻_00h00m00.000s.jpg"
    assert result.record.parent == tmp_path / "ö"


def test_distingo_reads_what_came(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "clip.avi", "MJPG")
    extract(video, tmp_path / "out", label="rugby", end=3.0)
    extract(video, tmp_path / "out", label="football", start=3.0)
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.classes == ("football", "rugby")
    assert {row.file: row.status for row in dataset.manifest}["frames.rugby.clip.json"] == "ignored"


def test_finished_frames_are_not_written_again(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "clip.mp4")
    extract(video, tmp_path / "out", limit=3)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.jpg")}
    result = extract(video, tmp_path / "out")
    assert [row.outcome for row in result.frames] == ["there already"] * 3 + ["written"] * 3
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_killed_run_goes_on_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "clip.avi", "MJPG", frames=600)
    program = (
        "import sys; from pathlib import Path; from distingo.download.video import *\n"
        "from distingo.download.video_frames import *\n"
        "extract_frames(Path(sys.argv[1]), Path(sys.argv[2]), FrameChoice(parse_interval('1frame')))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(video), str(tmp_path / "out")])
    deadline = time.monotonic() + 30
    while len(list((tmp_path / "out").glob("*.jpg"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    result = extract(video, tmp_path / "out", "1frame")
    assert result.count("there already") >= 20
    assert len(names(tmp_path / "out")) == 600
    for path in (tmp_path / "out").glob("*.jpg"):
        Image.open(path).load()


def test_what_is_there_already_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "clip_00h00m00.000s.jpg").write_bytes(b"a person's own")
    with raises(ResourceError, code="already_exists", parameter="output"):
        extract(draw_video(tmp_path / "clip.mp4"), out)
    assert (out / "clip_00h00m00.000s.jpg").read_bytes() == b"a person's own"


def test_another_video_of_the_same_name_is_refused(tmp_path: Path) -> None:
    extract(draw_video(tmp_path / "one" / "clip.mp4"), tmp_path / "out")
    other = draw_video(tmp_path / "two" / "clip.mp4", frames=30)
    with raises(ResourceError, code="already_exists", parameter="output"):
        extract(other, tmp_path / "out")
    assert extract(other, tmp_path / "out", label="two").count("written") == 3


@pytest.mark.parametrize("label", ["", "..", "a/b", ".hidden", "a\\b"])
def test_labels_that_lead_elsewhere_are_refused(tmp_path: Path, label: str) -> None:
    with raises(UsageError, code="invalid_name", parameter="label"):
        extract(draw_video(tmp_path / "clip.mp4"), tmp_path / "out", label=label)


def test_without_opencv_the_way_to_get_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = draw_video(tmp_path / "clip.mp4")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with raises(ResourceError, code="missing_extra"):
        extract(video, tmp_path / "out")
