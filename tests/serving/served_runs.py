"""Servers of real runs, in a thread or in separate processes."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from distingo.serving.http.access import listen, local_url
from distingo.serving.metrics import Metrics
from distingo.serving.served_models import ServedModels
from distingo.serving.server import build_server, create_app
from distingo.serving.settings import NamedRun, ServeSettings


@dataclass
class Server:
    url: str
    models: ServedModels
    port: int


@dataclass
class Command:
    process: subprocess.Popen[str]
    url: str
    lines: list[str]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running(runs: dict[str, Path], *, address: str = "127.0.0.1", **settings: Any) -> Iterator[Server]:
    said = ServeSettings(port=0, **settings)
    said.check()
    models = ServedModels([NamedRun(name, path) for name, path in runs.items()], said, Metrics())
    listening, ready = listen(address, 0), threading.Event()
    port = listening.getsockname()[1]
    url = local_url(listening.getsockname()[0], port)
    server = build_server(create_app(models, said), models, said, on_ready=ready.set)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        assert ready.wait(30)
        yield Server(url, models, port)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def command(*words: str | Path) -> Iterator[Command]:
    """``distingo serve`` with these words, once it answers."""
    arguments = [sys.executable, "-m", "distingo", "serve", *map(str, words), "--port", "0"]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"Serving at (\S+)", line):
                threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True).start()
                yield Command(process, found[1], lines)
                break
        else:
            raise AssertionError("".join(lines))
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def image(seed: int = 0, *, size: tuple[int, int] = (24, 16), form: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, form)
    return encoded.getvalue()


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
