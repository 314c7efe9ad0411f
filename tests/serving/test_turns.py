from __future__ import annotations

import threading
import time

from distingo.serving.turns import Job, Share, TurnPool


def in_order(pool: TurnPool, jobs: list[tuple[Share, str]]) -> list[str]:
    """What runs in which order, given while all threads are held up."""
    go, done, order = threading.Event(), threading.Semaphore(0), []

    def work(name: str) -> None:
        order.append(name)
        done.release()

    pool.submit(Job(Share("holder"), lambda: go.wait(10) and None))
    time.sleep(0.1)
    for share, name in jobs:
        assert pool.submit(Job(share, lambda name=name: work(name)))  # type: ignore[misc]
    go.set()
    for _ in jobs:
        assert done.acquire(timeout=10)
    return order


def test_clients_and_their_requests_take_turns() -> None:
    pool = TurnPool(1, "turns")
    first, second, other = Share("a"), Share("a"), Share("b")
    jobs = [(first, f"a1{n}") for n in range(3)] + [(second, f"a2{n}") for n in range(2)] + [(other, "b0")]
    assert in_order(pool, jobs) == ["a10", "b0", "a20", "a11", "a21", "a12"]
    pool.close()


def test_waiting_jobs_have_limits_and_can_be_taken_back() -> None:
    pool = TurnPool(1, "turns", most=3, most_of_client=2)
    go = threading.Event()
    pool.submit(Job(Share("z"), lambda: go.wait(10) and None))
    time.sleep(0.1)
    jobs = [Job(Share(client), lambda: None) for client in "aaabb"]
    assert [pool.submit(job) for job in jobs] == [True, True, False, True, False]
    assert pool.cancel(jobs[0]) and not pool.cancel(jobs[0])
    assert pool.submit(Job(Share("a"), lambda: None))
    go.set()
    pool.close()


def test_one_client_leaves_a_thread_to_others() -> None:
    pool = TurnPool(2, "turns", of_client=1)
    running, most, done = [], [], threading.Semaphore(0)

    def work(name: str) -> None:
        running.append(name)
        most.append(sorted(running))
        time.sleep(0.05)
        running.remove(name)
        done.release()

    for name in "aabcc":
        pool.submit(Job(Share(name), lambda name=name: work(name)))  # type: ignore[misc]
    for _ in range(5):
        assert done.acquire(timeout=10)
    assert not any(each in (["a", "a"], ["c", "c"]) for each in most)
    pool.close()


def test_who_was_served_longest_ago_comes_next_though_nothing_of_his_waited() -> None:
    pool = TurnPool(1, "turns")
    order: list[str] = []
    begun = {name: threading.Event() for name in "12"}
    go = {name: threading.Event() for name in "12"}
    done = threading.Semaphore(0)

    def work(name: str) -> None:
        order.append(name)
        if name[-1] in begun:
            begun[name[-1]].set()
            go[name[-1]].wait(10)
        done.release()

    def give(client: str, name: str) -> None:
        pool.submit(Job(Share(client), lambda: work(name)))

    give("victim", "victim0")
    assert done.acquire(timeout=10)
    for name in ("attacker1", "attacker2", "attacker3", "attacker4"):
        give("attacker", name)
    assert begun["1"].wait(10)
    give("victim", "victim5")
    for newcomer in range(3):
        give(f"new {newcomer}", f"new {newcomer}-x")
    go["1"].set()
    assert begun["2"].wait(10)
    give("later", "later-y")
    give("victim", "victim6")
    go["2"].set()
    for _ in range(10):
        assert done.acquire(timeout=10)
    news = [f"new {newcomer}-x" for newcomer in range(3)]
    assert order == [
        "victim0",
        "attacker1",
        *news,
        "victim5",
        "attacker2",
        "later-y",
        "victim6",
        "attacker3",
        "attacker4",
    ]
    pool.close()


def test_the_end_of_a_long_turn_counts() -> None:
    pool = TurnPool(2, "turns", of_client=1)
    order: list[str] = []
    go = {name: threading.Event() for name in ("a1", "b1")}
    done = threading.Semaphore(0)

    def work(name: str) -> None:
        order.append(name)
        if name in go:
            go[name].wait(10)
        done.release()

    def give(client: str, name: str) -> None:
        pool.submit(Job(Share(client), lambda: work(name)))

    give("victim", "v0")
    assert done.acquire(timeout=10)
    for client in "ab":
        for number in "12":
            give(client, client + number)
    time.sleep(0.1)
    give("victim", "v1")
    go["a1"].set()
    for _ in range(3):
        assert done.acquire(timeout=10)
    go["b1"].set()
    for _ in range(2):
        assert done.acquire(timeout=10)
    assert order == ["v0", "a1", "b1", "v1", "a2", "b2"]
    pool.close()
