from __future__ import annotations

import threading
import time

from distingo.download.fetching import HostQueue, QueuedFile
from distingo.download.records import RemoteFile


def turns(text: str) -> list[QueuedFile]:
    return [QueuedFile(RemoteFile(f"http://{host}/{at}", str(at)), host) for at, host in enumerate(text)]


def test_hosts_take_turns_and_none_has_more_than_its_share() -> None:
    queue = HostQueue(turns("aaabbc"), per_host=1)
    first = [queue.take() for _ in range(3)]
    assert [turn.host for turn in first if turn] == ["a", "b", "c"]
    taken: list[QueuedFile | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert first[1] is not None
    queue.done(first[1])
    waiting.join(5)
    assert taken[0] is not None and taken[0].host == "b"


def test_what_is_put_off_comes_back_and_a_held_host_waits_as_a_whole() -> None:
    queue = HostQueue(turns("aab"), per_host=2)
    first = queue.take()
    assert first is not None
    started = time.monotonic()
    queue.retry(first, 0.1, whole_host=True)
    order = []
    while (turn := queue.take()) is not None:
        order.append((turn.host, turn.attempts, time.monotonic() - started >= 0.1))
        queue.done(turn)
    assert order[0] == ("b", 1, False)
    assert sorted(order[1:]) == [("a", 1, True), ("a", 2, True)]


def test_stopping_frees_everybody_who_waits() -> None:
    queue = HostQueue(turns("aa"), per_host=1)
    queue.take()
    waiting = threading.Thread(target=queue.take)
    waiting.start()
    queue.stop()
    waiting.join(5)
    assert not waiting.is_alive()
