from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
from served_runs import command, image, wait_until

import distingo
from distingo.errors import ResourceError, UsageError
from distingo.serving.http.access import listen
from raising import raises
from tiny_runs import copy_run


def refuse(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "distingo", "serve", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_a_port_in_use_is_one_line(tiny_runs: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with raises(ResourceError, code="port_unavailable", parameter="port"):
            listen("127.0.0.1", taken.getsockname()[1])
        code, said = refuse(tiny_runs["majority"], "--port", str(taken.getsockname()[1]))
    assert code == 1 and "choose another --port" in said


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--host", "0.0.0.0"], "--api-key-file"),
        (["--max-upload", "much"], "is no size"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_wrong_words_are_one_line(tiny_runs: dict[str, Path], words: list[str], part: str) -> None:
    code, said = refuse(tiny_runs["majority"], *words)
    assert code == 2 and part in said


def test_what_is_no_run_is_one_line_with_several_workers_too(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        code, said = refuse(tmp_path, "--port", "0", "--workers", workers)
        assert code == 1 and str(tmp_path) in said


def test_missing_parts_are_named_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tiny_runs: dict[str, Path]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with raises(UsageError, code="missing_extra"):
        distingo.serve(tiny_runs["majority"])


def test_sigterm_finishes_what_is_in_flight_and_exits_with_0(tiny_runs: dict[str, Path]) -> None:
    body = image()
    with command(f"cnn={tiny_runs['small-cnn']}") as server:
        assert httpx2.get(server.url + "/readyz").status_code == 200
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body[:100])
            time.sleep(1)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            connection.sendall(body[100:])
            got = b""
            while came := connection.recv(65536):
                got += came
        assert got.startswith(b"HTTP/1.1 200") and b"predictions" in got
        assert server.process.wait(20) == 0
    assert not any("Traceback" in line for line in server.lines)


@pytest.mark.slow
def test_hangup_reloads(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["small-cnn"], tmp_path / "run")
    with command(run) as server:
        before = httpx2.get(server.url + "/models").json()["models"][0]["version"]
        shutil.rmtree(run / "model")
        shutil.copytree(tiny_runs["descriptors"] / "model", run / "model")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: httpx2.get(server.url + "/models").json()["models"][0]["version"] != before)
        assert server.stop() == 0


def children(pid: int) -> list[int]:
    """Worker processes: those below the fork server."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    below = [child for child, parent in pairs if parent == pid]
    return [child for child, parent in pairs if parent in below]


class Load:
    """Clients that ask on and on, each with a connection of its own."""

    def __init__(self, url: str, clients: int) -> None:
        self.statuses: list[int | str] = []
        self.times: list[float] = []
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with httpx2.Client(timeout=30) as client:
            while not self._stop.is_set():
                try:
                    self.statuses.append(client.post(self._url + "/predict", content=image()).status_code)
                    self.times.append(time.monotonic())
                except httpx2.TransportError as error:
                    self.statuses.append(type(error).__name__)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="several workers need forking")
def test_a_killed_worker_costs_only_its_own_requests_and_comes_back(tiny_runs: dict[str, Path]) -> None:
    with command(f"cnn={tiny_runs['small-cnn']}", "--workers", "2") as server:
        workers = children(server.process.pid)
        assert len(workers) == 2
        load = Load(server.url, 8)
        time.sleep(1)
        os.kill(workers[0], signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: len(set(children(server.process.pid)) - {workers[0]}) == 2, 20)
        time.sleep(3)
        load.end()
        failed = [status for status in load.statuses if status != 200]
        assert len(failed) <= 8, failed
        after = [when - killed for when in load.times if when > killed]
        assert after[0] < 5 and max(b - a for a, b in itertools.pairwise(after)) < 5
        total = sum(status == 200 for status in load.statuses)
        text = httpx2.get(server.url + "/metrics").text
        counted = sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("distingo_requests_total") and 'route="/predict"' in line and 'status="200"' in line
        )
        assert total <= counted <= total + 8
        assert server.stop() == 0
    assert not children(server.process.pid)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="several workers need forking")
def test_all_workers_reload_without_a_lost_request(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["small-cnn"], tmp_path / "run")
    with command(f"cnn={run}", "--workers", "2") as server:
        load = Load(server.url, 4)
        shutil.rmtree(run / "model")
        shutil.copytree(tiny_runs["descriptors"] / "model", run / "model")
        said = httpx2.post(server.url + "/models/cnn/reload", timeout=30).json()
        assert said["changed"]
        time.sleep(2)
        load.end()
        assert set(load.statuses) == {200}
        versions = {httpx2.get(server.url + "/models").json()["models"][0]["version"] for _ in range(20)}
        assert versions == {said["model"]["version"]}
        assert server.stop() == 0
