"""A stream is worked on in order, no further ahead than is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from distingo.prediction.networks import chunked, map_in_order


def test_results_come_in_order_whatever_takes_longest() -> None:
    def work(numbers: Sequence[int]) -> list[int]:
        time.sleep(0.01 * (numbers[0] % 3))
        return [number * number for number in numbers]

    found = list(map_in_order(work, iter(range(50)), chunk=4, ahead=16, workers=4))
    assert found == [number * number for number in range(50)]


def test_no_more_is_taken_than_may_be_ahead() -> None:
    taken = 0

    def count() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    stream = map_in_order(list, count(), chunk=4, ahead=16, workers=2)
    assert taken == 0
    for number in range(200):
        assert next(stream) == number
        assert taken <= number + 1 + 16 + 4
    stream.close()  # type: ignore[attr-defined]
    assert taken < 250
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_an_error_of_the_work_ends_the_stream() -> None:
    def work(numbers: Sequence[int]) -> list[int]:
        if 9 in numbers:
            raise RuntimeError("nine")
        return list(numbers)

    stream = map_in_order(work, range(100), chunk=2, ahead=8, workers=2)
    with pytest.raises(RuntimeError, match="nine"):
        list(stream)


def test_chunks_are_full_but_the_last() -> None:
    assert list(chunked(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunked([], 2)) == []
