"""The real application on loopback, served by uvicorn from a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from distingo.serving.app import create_app
from distingo.serving.metrics import Metrics
from distingo.serving.served import ServedModels
from distingo.serving.settings import NamedRun, ServeSettings


@contextmanager
def serving(runs: dict[str, Path], **settings: Any) -> Iterator[str]:
    """Serve runs under names; yields the page's address."""
    said = ServeSettings(**settings)
    models = ServedModels([NamedRun(name, path) for name, path in runs.items()], said, Metrics())
    server = uvicorn.Server(uvicorn.Config(create_app(models, said), log_level="warning", lifespan="on"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
