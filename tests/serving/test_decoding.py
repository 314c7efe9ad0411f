from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import costly_images
import httpx2
import numpy as np
import pytest
from costly_images import float_tiff, tile_bomb
from PIL import Image
from served_runs import Server, image, running, wait_until

from distingo.serving import images as header_costs
from distingo.serving.decoding import DecodeTask
from distingo.serving.http.access import RefusedError
from distingo.serving.turns import Share


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    runs = {"cnn": tiny_runs["small-cnn"], "descriptors": tiny_runs["descriptors"]}
    with running(runs, decode_timeout=1.0, decode_memory=300 * 2**20) as started:
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
    assert ask(server, image(form="TIFF")).status_code == 200


def test_an_image_that_takes_too_much_memory_is_413(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.models.processes, "_seconds", 30.0)
    refused = ask(server, float_tiff(7000))
    assert refused.status_code == 413 and "memory" in refused.json()["error"]["reason"]
    assert ask(server, image(form="TIFF")).status_code == 200


def test_the_images_of_a_request_have_a_limit_together(server: Server) -> None:
    files = [("images", ("a.tif", tile_bomb()))] * 6 + [("images", ("b.jpg", image()))]
    answer = httpx2.post(f"{server.url}/predict?model=cnn", files=files, timeout=60).json()
    reasons = [each["error"] and each["error"]["reason"] for each in answer["predictions"]]
    assert sum("more than 1 second" in str(reason) for reason in reasons) == 2
    assert sum("took more than 3 seconds" in str(reason) for reason in reasons) == 4
    assert reasons[-1] is None


@pytest.mark.parametrize("make", [costly_images.stuffed_jpeg, costly_images.two_png_headers])
def test_an_image_with_more_pixels_than_a_header_names_is_decoded_by_a_process(
    server: Server, make: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make(2500)
    given = []

    def row(task: DecodeTask, content: bytes, memory: int, share: Share) -> np.ndarray:
        given.append((content, memory))
        raise RefusedError(413, "here")

    monkeypatch.setattr(server.models.processes, "row", row)
    assert ask(server, content).json()["error"]["reason"] == "here"
    fooled = {"PNG": lambda data: header_costs._Header(64, 64), "JPEG": lambda data: header_costs._Header(64, 64)}
    monkeypatch.setattr(header_costs, "_READERS", fooled)
    assert ask(server, content).json()["error"]["reason"] == "here"
    assert given == [(content, 150 * 2**20)] * 2


def test_a_process_that_dies_is_started_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.models.processes, "_seconds", 30.0)
    processes = server.models.processes
    assert ask(server, image(form="TIFF")).status_code == 200
    living = [process for process in list(processes._all) if process.lives]
    assert living
    for process in living:
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
    assert ask(server, image(form="TIFF")).status_code == 200


def test_processes_end_with_the_server(tiny_runs: dict[str, Path]) -> None:
    with running({"cnn": tiny_runs["small-cnn"]}) as server:
        processes = server.models.processes
        wait_until(lambda: len(processes._all) == 2)
        started = list(processes._all)
    wait_until(lambda: not any(process.lives for process in started))
