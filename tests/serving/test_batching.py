from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from served_runs import wait_until

from distingo.prediction.naming import ModelOutput
from distingo.serving.batching import Batcher
from distingo.serving.http.access import RefusedError
from distingo.serving.images import RequestImage
from distingo.serving.turns import Share, TurnPool


class Bench:
    """A batcher around a model that can be held up; each image is a number, its probability twice as much."""

    def __init__(self, decoders: TurnPool, **settings: Any) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.evaluating = False
        self.work: dict[str, Callable[[], np.ndarray]] = {}
        limits = {"max_wait": 0.05, "max_batch": 4, **settings}
        self.batcher = Batcher(self.decode, self.evaluate, decoders, watcher=self, **limits)

    def decode(self, image: RequestImage) -> np.ndarray:
        return self.work.pop(image.name)()

    def evaluate(self, rows: np.ndarray) -> ModelOutput:
        self.evaluating = True
        assert self.go.wait(10)
        if (rows < 0).any():
            raise ValueError("a fault of the model")
        return ModelOutput((rows * 2).astype(np.float32))

    def on_batch(self, images: int, seconds: float, waited: float) -> None:
        self.sizes.append(images)

    def submit(self, value: float, wait: float = 0.0) -> asyncio.Future[RequestImage]:
        def decode() -> np.ndarray:
            time.sleep(wait)
            return np.array([value], np.float32)

        return self.submit_work(decode, f"{value}")

    def submit_work(self, work: Callable[[], np.ndarray], name: str = "work") -> asyncio.Future[RequestImage]:
        self.work[name] = work
        return self.batcher.submit(RequestImage(name, b"file"), Share())


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


def score(image: RequestImage) -> float:
    assert image.row is None and image.refusal is None and image.content == b"file"
    return float(image.probabilities[0])


def test_each_image_gets_its_own_scores(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders)
        answers = await asyncio.gather(*(bench.submit(value, 0.001 * (value % 5)) for value in range(100)))
        assert [score(answer) for answer in answers] == [2 * value for value in range(100)]
        assert sum(bench.sizes) == 100 and max(bench.sizes) == 4
        bench.batcher.close()

    run(work)


def test_an_image_that_is_alone_does_not_wait(decoders: TurnPool) -> None:
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


def test_an_image_waits_for_others_that_are_being_decoded(decoders: TurnPool) -> None:
    async def work() -> None:
        bench, go = Bench(decoders, max_wait=10), threading.Event()
        slow = bench.submit_work(lambda: held(go))
        quick = bench.submit(1)
        await asyncio.sleep(0.1)
        assert not quick.done()
        go.set()
        assert [score(answer) for answer in await asyncio.gather(quick, slow)] == [2, 4]
        assert bench.sizes == [2]
        bench.batcher.close()

    run(work)


def test_it_does_not_wait_for_ever(decoders: TurnPool) -> None:
    async def work() -> None:
        bench, go = Bench(decoders, max_wait=0.1), threading.Event()
        slow = bench.submit_work(lambda: held(go))
        assert score(await bench.submit(1)) == 2
        assert not slow.done()
        go.set()
        assert score(await slow) == 4
        assert bench.sizes == [1, 1]
        bench.batcher.close()

    run(work)


def test_what_comes_while_a_batch_is_scored_is_scored_together(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders, max_wait=0)
        bench.go.clear()
        first = bench.submit(0)
        await until(lambda: bench.evaluating)
        others = [bench.submit(value) for value in range(3)]
        await until(lambda: len(bench.batcher._state.ready) == 3)
        bench.go.set()
        await asyncio.gather(first, *others)
        assert bench.sizes == [1, 3]
        bench.batcher.close()

    run(work)


def test_a_cancelled_image_is_not_scored(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders, max_wait=0)
        bench.go.clear()
        first = bench.submit(0)
        await until(lambda: bench.evaluating)
        gone, stays = bench.submit(1), bench.submit(2)
        await until(lambda: len(bench.batcher._state.ready) == 2)
        gone.cancel()
        bench.go.set()
        assert score(await stays) == 4
        await first
        assert bench.sizes == [1, 1]
        bench.batcher.close()

    run(work)


def test_faults_reach_only_those_that_they_concern(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders)

        def broken() -> np.ndarray:
            raise OSError("no image")

        def refused() -> np.ndarray:
            raise RefusedError(422, "no image")

        with pytest.raises(OSError, match="no image"):
            await bench.submit_work(broken)
        image = await bench.submit_work(refused)
        assert image.refusal is not None and image.refusal.status == 422 and not image.probabilities.size
        with pytest.raises(ValueError, match="fault"):
            await bench.submit(-1)
        assert score(await bench.submit(3)) == 6
        bench.batcher.close()

    run(work)


def test_a_closed_batcher_finishes_and_its_thread_ends(decoders: TurnPool) -> None:
    async def work() -> None:
        bench = Bench(decoders)
        answers = [bench.submit(value, 0.05) for value in range(6)]
        bench.batcher.close()
        assert [score(answer) for answer in await asyncio.gather(*answers)] == [0, 2, 4, 6, 8, 10]
        wait_until(lambda: not bench.batcher.is_alive)

    run(work)
