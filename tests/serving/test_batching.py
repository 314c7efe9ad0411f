from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from served_runs import wait_until

from distingo.prediction.naming import Judged
from distingo.serving.batching import Batcher
from distingo.serving.turns import TurnPool


class Bench:
    """A batcher around a judge that can be held up; each picture is a number, its verdict twice as much."""

    def __init__(self, decoders: TurnPool, **settings: Any) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.judging = False
        self.batcher = Batcher(self.judge, decoders, watcher=self, **{"max_wait": 0.05, "max_batch": 4, **settings})

    def judge(self, rows: np.ndarray) -> Judged:
        self.judging = True
        assert self.go.wait(10)
        if (rows < 0).any():
            raise ValueError("a fault of the model")
        return Judged((rows * 2).astype(np.float32))

    def batch_judged(self, pictures: int, seconds: float, waited: float) -> None:
        self.sizes.append(pictures)

    def submit(self, value: float, wait: float = 0.0) -> asyncio.Future[tuple[Judged, int]]:
        def look() -> np.ndarray:
            time.sleep(wait)
            return np.array([value], np.float32)

        return self.batcher.submit(look)


@pytest.fixture
def decoders() -> Iterator[TurnPool]:
    pool = TurnPool(4, "decoding")
    yield pool
    pool.close()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def verdict(answer: tuple[Judged, int]) -> float:
    judged, place = answer
    return float(judged.probabilities[place, 0])


def test_each_picture_gets_its_own_verdict(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders)
        answers = await asyncio.gather(*(bench.submit(value, 0.001 * (value % 5)) for value in range(100)))
        assert [verdict(answer) for answer in answers] == [2 * value for value in range(100)]
        assert sum(bench.sizes) == 100 and max(bench.sizes) == 4
        bench.batcher.close()

    run(work)


def test_a_picture_that_is_alone_does_not_wait(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders, max_wait=5)
        began = time.monotonic()
        await bench.submit(1)
        assert time.monotonic() - began < 4 and bench.sizes == [1]
        bench.batcher.close()

    run(work)


def held(go: threading.Event) -> np.ndarray:
    """What is decoded only once it may."""
    assert go.wait(10)
    return np.array([2], np.float32)


def test_a_picture_waits_for_others_that_are_being_decoded(decoders: TurnPool) -> None:
    async def work() -> None:
        bench, go = Bench(decoders, max_wait=10), threading.Event()
        slow = bench.batcher.submit(lambda: held(go))
        quick = bench.submit(1)
        await asyncio.sleep(0.1)
        assert not quick.done()
        go.set()
        assert [verdict(answer) for answer in await asyncio.gather(quick, slow)] == [2, 4]
        assert bench.sizes == [2]
        bench.batcher.close()

    run(work)


def test_it_does_not_wait_for_ever(decoders: TurnPool) -> None:
    async def work() -> None:
        bench, go = Bench(decoders, max_wait=0.1), threading.Event()
        slow = bench.batcher.submit(lambda: held(go))
        assert verdict(await bench.submit(1)) == 2
        assert not slow.done()
        go.set()
        assert verdict(await slow) == 4
        assert bench.sizes == [1, 1]
        bench.batcher.close()

    run(work)


def test_what_comes_while_a_batch_is_judged_is_judged_together(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders, max_wait=0)
        bench.go.clear()
        first = bench.submit(0)
        await until(lambda: bench.judging)
        others = [bench.submit(value) for value in range(3)]
        await until(lambda: len(bench.batcher._state.ready) == 3)
        bench.go.set()
        await asyncio.gather(first, *others)
        assert bench.sizes == [1, 3]
        bench.batcher.close()

    run(work)


def test_a_cancelled_picture_is_not_judged(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders, max_wait=0)
        bench.go.clear()
        first = bench.submit(0)
        await until(lambda: bench.judging)
        gone, stays = bench.submit(1), bench.submit(2)
        await until(lambda: len(bench.batcher._state.ready) == 2)
        gone.cancel()
        bench.go.set()
        assert verdict(await stays) == 4
        await first
        assert bench.sizes == [1, 1]
        bench.batcher.close()

    run(work)


def test_faults_reach_only_those_that_they_concern(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders)

        def broken() -> np.ndarray:
            raise OSError("no picture")

        with pytest.raises(OSError, match="no picture"):
            await bench.batcher.submit(broken)
        with pytest.raises(ValueError, match="fault"):
            await bench.submit(-1)
        assert verdict(await bench.submit(3)) == 6
        bench.batcher.close()

    run(work)


def test_a_closed_batcher_finishes_and_its_thread_ends(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders)
        answers = [bench.submit(value, 0.05) for value in range(6)]
        bench.batcher.close()
        assert [verdict(answer) for answer in await asyncio.gather(*answers)] == [0, 2, 4, 6, 8, 10]
        wait_until(lambda: not bench.batcher.is_alive)

    run(work)
