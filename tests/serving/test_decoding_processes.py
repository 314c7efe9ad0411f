from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from attacks import bmp_of_runs, float_tiff, large_image, scan_bomb, tile_bomb
from PIL import Image
from served_runs import Server, picture, running, wait_until

from distingo.datasets.formats import detect_format
from distingo.serving.header_costs import HeaderCost, read_cost
from distingo.serving.turns import Job, Share, TurnPool


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    runs = {"cnn": tiny_runs["small-cnn"], "descriptors": tiny_runs["descriptors"]}
    with running(runs, decode_timeout=1.0, decode_memory=200 * 2**20) as started:
        yield started


def ask(server: Server, content: bytes, model: str = "cnn") -> httpx2.Response:
    return httpx2.post(f"{server.url}/predict?model={model}", content=content, timeout=60)


@pytest.mark.parametrize("model", ["cnn", "descriptors"])
def test_what_another_process_decodes_gives_the_same_prediction(server: Server, model: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    answers = []
    for form in ("PNG", "TIFF"):
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, form)
        answer = ask(server, encoded.getvalue(), model)
        assert answer.status_code == 200
        answers.append(answer.json())
    assert answers[0] == answers[1]


def test_an_image_that_takes_too_long_is_413_and_its_process_replaced(server: Server) -> None:
    began = time.monotonic()
    refused = ask(server, tile_bomb())
    assert refused.status_code == 413 and "more than 1 second" in refused.json()["error"]["reason"]
    assert time.monotonic() - began < 10
    assert ask(server, picture(form="TIFF")).status_code == 200


def test_an_image_that_takes_too_much_memory_is_413(server: Server) -> None:
    refused = ask(server, float_tiff(6000))
    assert refused.status_code == 413 and "memory" in refused.json()["error"]["reason"]
    assert ask(server, picture(form="TIFF")).status_code == 200


def test_the_images_of_a_request_have_a_limit_together(server: Server) -> None:
    files = [("pictures", ("a.tif", tile_bomb()))] * 6 + [("pictures", ("b.jpg", picture()))]
    answer = httpx2.post(f"{server.url}/predict?model=cnn", files=files, timeout=60).json()
    reasons = [each["error"] and each["error"]["reason"] for each in answer["predictions"]]
    assert sum("more than 1 second" in str(reason) for reason in reasons) == 2
    assert sum("took more than 3 seconds" in str(reason) for reason in reasons) == 4
    assert reasons[-1] is None


def test_a_process_that_dies_is_started_again(server: Server) -> None:
    processes = server.models.processes
    living = [process for process in list(processes._all) if process.lives]
    assert living
    for process in living:
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
    assert ask(server, picture(form="TIFF")).status_code == 200


def test_processes_end_with_the_server(tiny_runs: dict[str, Path]) -> None:
    with running({"cnn": tiny_runs["small-cnn"]}) as server:
        processes = server.models.processes
        wait_until(lambda: len(processes._all) == 2)
        started = list(processes._all)
    wait_until(lambda: not any(process.lives for process in started))


ORDINARY = [("JPEG", 1500), ("PNG", 1500), ("GIF", 1500), ("BMP", 1500), ("WEBP", 500)]


@pytest.mark.parametrize(("form", "side"), ORDINARY)
def test_common_formats_of_few_pixels_are_ordinary(form: str, side: int) -> None:
    content = large_image(form, side)
    assert read_cost(content, detect_format(content)) == HeaderCost(side * side, ordinary=True)


def test_large_and_unusual_files_are_not_ordinary() -> None:
    for content in (tile_bomb(), float_tiff(10), bmp_of_runs(100), large_image("PNG", 2100)):
        assert not read_cost(content, detect_format(content)).ordinary
    large = large_image("JPEG", 4000)
    assert read_cost(large, "JPEG", enough=224) == HeaderCost(16_000_000, ordinary=True)
    assert not read_cost(large, "JPEG", enough=1500).ordinary
    bomb = scan_bomb(1000, 20)
    assert not read_cost(bomb, "JPEG", scans=bomb.count(b"\xff\xda"), enough=224).ordinary
    for content in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF1234WEBPVP8 ", b"BM"):
        assert read_cost(content, "JPEG" if content[:1] == b"\xff" else detect_format(content)).pixels is None


def test_memory_goes_by_pixels_up_to_a_limit() -> None:
    assert HeaderCost(1_000_000, ordinary=False).memory(2**30) == 64 * 2**20 + 24_000_000
    assert HeaderCost(50_000_000, ordinary=False).memory(2**28) == 2**28
    assert HeaderCost(None, ordinary=False).memory(2**28) == 2**28


def in_order(pool: TurnPool, jobs: list[tuple[Share, str, int]]) -> list[str]:
    """What runs in which order, given while all threads are held up."""
    go, done, order = threading.Event(), threading.Semaphore(0), []

    def work(name: str) -> None:
        order.append(name)
        done.release()

    pool.submit(Job(Share("holder"), lambda: go.wait(10) and None))
    time.sleep(0.1)
    for share, name, memory in jobs:
        assert pool.submit(Job(share, lambda name=name: work(name), memory))  # type: ignore[misc]
    go.set()
    for _ in jobs:
        assert done.acquire(timeout=10)
    return order


def test_clients_and_their_requests_take_turns() -> None:
    pool = TurnPool(1, "turns")
    first, second, other = Share("a"), Share("a"), Share("b")
    jobs = [(first, f"a1{n}", 0) for n in range(3)] + [(second, f"a2{n}", 0) for n in range(2)] + [(other, "b0", 0)]
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


def test_one_client_leaves_a_thread_to_others_and_memory_is_shared() -> None:
    pool = TurnPool(2, "turns", of_client=1, memory=100)
    running, most, done = [], [], threading.Semaphore(0)

    def work(name: str) -> None:
        running.append(name)
        most.append(sorted(running))
        time.sleep(0.05)
        running.remove(name)
        done.release()

    for name, memory in (("a", 60), ("a", 60), ("b", 60), ("c", 30), ("c", 200)):
        pool.submit(Job(Share(name), lambda name=name: work(name), memory))  # type: ignore[misc]
    for _ in range(5):
        assert done.acquire(timeout=10)
    assert not any(each in (["a", "a"], ["a", "b"], ["c", "c"]) for each in most)
    pool.close()
