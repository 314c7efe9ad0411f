from __future__ import annotations

import io
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from served_runs import Server, image, running, wait_until

import distingo
from distingo.prediction.naming import ModelOutput
from tiny_runs import copy_run


@pytest.fixture
def run(tiny_runs: dict[str, Path], tmp_path: Path) -> Path:
    return copy_run(tiny_runs["small-cnn"], tmp_path / "run")


@pytest.fixture
def server(run: Path) -> Iterator[Server]:
    with running({"cnn": run}, queue=8, max_images=8) as started:
        yield started


def put(run: Path, other: Path) -> None:
    """Another run's model in this folder."""
    shutil.rmtree(run / "model")
    shutil.copytree(other / "model", run / "model")


class HeldUp:
    """Holds up a served model's evaluating until told to go on."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        batcher = server.models.get("cnn").batcher
        evaluate = batcher._predict_rows

        def wait(rows: np.ndarray) -> ModelOutput:
            assert self.go.wait(20)
            return evaluate(rows)

        monkeypatch.setattr(batcher, "_predict_rows", wait)


def in_flight(server: Server) -> float:
    text = httpx2.get(server.url + "/metrics").text
    return float(next(line for line in text.splitlines() if line.startswith("distingo_pictures_in_flight ")).split()[1])


def test_models_are_listed_with_what_a_client_needs(server: Server) -> None:
    (model,) = httpx2.get(server.url + "/models").json()["models"]
    levels = model.pop("levels")
    assert set(levels) == {"abstain_from", "coverage_to"}
    assert model == {
        "name": "cnn",
        "version": server.models.get("cnn").version,
        "task": "single-label",
        "classes": list(server.models.get("cnn").predictor.classes),
        "thresholds": None,
        "explains": True,
        "corrections": False,
        "input": {"height": 8, "width": 8, "channels": 3},
    }


def test_a_changed_folder_is_served_after_a_reload(server: Server, run: Path, tiny_runs: dict[str, Path]) -> None:
    address = server.url + "/models/cnn/reload"
    before = server.models.get("cnn").version
    assert httpx2.post(address).json() == {"model": {"name": "cnn", "version": before}, "changed": False}
    put(run, tiny_runs["descriptors"])
    said = httpx2.post(address).json()
    assert said["changed"] and said["model"]["version"] != before
    answer = httpx2.post(server.url + "/predict", content=image()).json()
    assert answer["model"] == said["model"]
    expected = distingo.load(tiny_runs["descriptors"]).predict(_image())[0]
    assert answer["predictions"][0]["label"] == expected.label
    assert httpx2.post(server.url + "/models/dog/reload").status_code == 404


def _image() -> np.ndarray:
    return np.array(Image.open(io.BytesIO(image())))


def test_a_damaged_folder_leaves_the_old_version_in_service(server: Server, run: Path) -> None:
    path = run / "model" / "model.json"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[: len(whole) // 2], encoding="utf-8")
    refused = httpx2.post(server.url + "/models/cnn/reload")
    assert refused.status_code == 409 and str(run) not in refused.text
    assert httpx2.post(server.url + "/predict", content=image()).status_code == 200


def test_no_request_is_lost_in_a_reload(server: Server, run: Path, tiny_runs: dict[str, Path]) -> None:
    statuses: list[int] = []
    versions: set[str] = set()
    stop = threading.Event()

    def ask() -> None:
        with httpx2.Client() as client:
            while not stop.is_set():
                answer = client.post(server.url + "/predict", content=image(), timeout=20)
                statuses.append(answer.status_code)
                versions.add(answer.json()["model"]["version"])

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for other in ("descriptors", "small-cnn", "descriptors"):
        put(run, tiny_runs[other])
        assert httpx2.post(server.url + "/models/cnn/reload", timeout=20).json()["changed"]
        time.sleep(0.1)
    stop.set()
    for asker in askers:
        asker.join()
    assert set(statuses) == {200} and len(statuses) > 10 and len(versions) == 2


def test_an_old_version_ends_when_its_images_are_judged(
    server: Server, run: Path, tiny_runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, old = HeldUp(server, monkeypatch), server.models.get("cnn")
    answers: list[httpx2.Response] = []
    asker = threading.Thread(
        target=lambda: answers.append(httpx2.post(server.url + "/predict", content=image(), timeout=20))
    )
    asker.start()
    wait_until(lambda: in_flight(server) == 1)
    put(run, tiny_runs["descriptors"])
    assert httpx2.post(server.url + "/models/cnn/reload", timeout=20).json()["changed"]
    assert httpx2.post(server.url + "/predict", content=image(), timeout=20).status_code == 200
    assert old.batcher.is_alive
    held.go.set()
    asker.join()
    assert answers[0].json()["model"]["version"] == old.version
    wait_until(lambda: not old.batcher.is_alive)


def test_past_the_queue_the_answer_is_503_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldUp(server, monkeypatch)
    waiting = [
        threading.Thread(
            target=httpx2.post, args=(server.url + "/predict",), kwargs={"content": image(), "timeout": 20}
        )
        for _ in range(7)
    ]
    for thread in waiting:
        thread.start()
    wait_until(lambda: in_flight(server) == 7)
    began = time.monotonic()
    files = [("images", ("a", image()))] * 2
    refused = httpx2.post(server.url + "/predict", files=files)
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
    assert time.monotonic() - began < 1
    held.go.set()
    for thread in waiting:
        thread.join()
    assert httpx2.post(server.url + "/predict", content=image()).status_code == 200


def test_a_client_that_goes_away_frees_its_place(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldUp(server, monkeypatch)
    body = image()
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    for connection in connections:
        connection.sendall(head + body)
    wait_until(lambda: in_flight(server) == 8)
    assert httpx2.post(server.url + "/predict", content=image()).status_code == 503
    for connection in connections:
        connection.close()
    wait_until(lambda: in_flight(server) == 0)
    held.go.set()
    assert httpx2.post(server.url + "/predict", content=image()).status_code == 200


def test_a_fault_of_ours_is_told_without_its_insides(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_rows: np.ndarray) -> ModelOutput:
        raise ValueError("a secret of /home/somebody")

    monkeypatch.setattr(server.models.get("cnn").batcher, "_predict_rows", fail)
    answer = httpx2.post(server.url + "/predict", content=image())
    assert answer.status_code == 500 and "secret" not in answer.text and answer.json()["error"]["status"] == 500
