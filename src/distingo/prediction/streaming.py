"""Work on a stream of unknown length: threads a few chunks ahead, results in order, memory that does not grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def chunked(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Cut a stream into lists of `size` items; the last may be shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def map_in_order(
    work: Callable[[Sequence[_Item]], list[_Result]],
    items: Iterable[_Item],
    *,
    chunk: int,
    ahead: int,
    workers: int,
) -> Iterator[_Result]:
    """Map chunks of a stream over threads, and give the results in order.

    Args:
        work: From some items to as many results; called from several threads.
        items: The stream, taken from only as results are.
        chunk: Items that a thread is handed at a time.
        ahead: Items that may be worked on, or be done, before the first of them is taken.
        workers: Threads.
    """
    waiting: deque[Future[list[_Result]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for part in chunked(items, chunk):
                waiting.append(pool.submit(work, part))
                if len(waiting) * chunk > ahead:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
