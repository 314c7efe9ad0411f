from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from distingo.download.video import frame_name
from distingo.download.video_frames import (
    Frame,
    FrameChoice,
    Interval,
    SimilarityGate,
    choose_frames,
    parse_interval,
    parse_time,
)
from distingo.errors import UsageError
from raising import raises


def frames(*seconds: float) -> Iterator[Frame]:
    for at in seconds:
        yield Frame(at, False, lambda: np.zeros((1, 1, 3), np.uint8))


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1s", Interval("seconds", 1.0)),
        ("0.5 s", Interval("seconds", 0.5)),
        ("250ms", Interval("seconds", 0.25)),
        ("2min", Interval("seconds", 120.0)),
        ("30frames", Interval("frames", 30)),
        ("1 frame", Interval("frames", 1)),
        ("Keyframes", Interval("keyframes", 1)),
    ],
)
def test_intervals(text: str, interval: Interval) -> None:
    assert parse_interval(text) == interval


@pytest.mark.parametrize("text", ["", "1", "s", "0s", "-1s", "0.5frames", "1h", "every second"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with raises(UsageError, code="invalid_value", parameter="every"):
        parse_interval(text)


@pytest.mark.parametrize(("text", "seconds"), [("83.5", 83.5), ("1:23.5", 83.5), ("1:02:03", 3723.0), ("5s", 5.0)])
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text, "start") == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:75:00", "noon"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with raises(UsageError, code="invalid_value", parameter="end"):
        parse_time(text, "end")


def test_an_uneven_clock_does_not_drift() -> None:
    at = [0.0, 0.4, 0.9, 1.3, 1.31, 2.0, 4.7, 4.8, 5.0]
    chosen = choose_frames(frames(*at), FrameChoice(Interval("seconds", 1.0)))
    assert [frame.seconds for frame in chosen] == [0.0, 1.3, 2.0, 4.7, 5.0]


def test_a_clock_of_thirds_takes_every_whole_second() -> None:
    at = [index / 30 for index in range(3000)]
    chosen = [frame.seconds for frame in choose_frames(frames(*at), FrameChoice(Interval("seconds", 1.0)))]
    assert chosen == pytest.approx(list(range(100)))


def test_nothing_is_read_after_the_end() -> None:
    reading = frames(*range(100))
    assert len(list(choose_frames(reading, FrameChoice(Interval("frames", 1), end=3.0)))) == 3
    assert next(reading).seconds == 4


def test_a_small_thing_that_moves_is_no_near_identical_frame() -> None:
    gate = SimilarityGate(8.0)
    still = np.full((480, 640, 3), 100, np.uint8)
    noisy = still + np.random.default_rng(0).integers(0, 5, still.shape, np.uint8)
    ball = still.copy()
    ball[200:215, 300:315] = 255
    assert [gate.is_similar(pixels) for pixels in (still, noisy, ball, ball)] == [False, True, False, True]


def test_names_sort_by_time() -> None:
    seconds = [0.0, 0.9996, 59.9999, 60.0, 3599.5, 3600.0, 36000.0]
    names = [frame_name("a", at, "png") for at in seconds]
    assert names == sorted(names)
    assert names[1] == "a_00h00m01.000s.png"
    assert names[-1] == "a_10h00m00.000s.png"
