"""The entry point of a worker process, which is forked once the fork server has imported this module.

Importing it imports everything that workers need, but computes nothing and starts no threads.
"""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from socket import socket

import scipy.stats  # noqa: F401
import uvicorn.loops.auto
import uvicorn.protocols.http.httptools_impl  # noqa: F401

import distingo.explanation.explaining  # noqa: F401
from distingo.errors import DistingoError
from distingo.machine import import_openvino
from distingo.machine.process import configure_process
from distingo.models.architectures import import_timm
from distingo.serving.server import serve_process
from distingo.serving.settings import NamedRun, ServeSettings

configure_process(threads=False)
import_timm()
if importlib.util.find_spec("openvino") is not None:
    import_openvino()


def work(runs: Sequence[NamedRun], settings: ServeSettings, listening: socket, reports: Connection) -> None:
    """Serve until the supervisor stops the process.

    Args:
        runs: The runs to serve.
        settings: The server's settings.
        listening: The listening socket that all workers share.
        reports: Connection to the supervisor; gets ``"ready"``, or the error if the worker can't start.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the supervisor stops the workers
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    logging.getLogger("distingo").setLevel(logging.INFO)
    threading.Thread(target=_end_with_the_supervisor, daemon=True).start()
    try:
        serve_process(runs, settings, listening, on_ready=lambda: reports.send("ready"), on_reload=_notify_supervisor)
    except DistingoError as error:
        reports.send(error)
        sys.exit(error.exit_code)


def _end_with_the_supervisor() -> None:
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _notify_supervisor() -> None:
    """Signal the supervisor to reload the other workers too."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and supervisor.pid is not None:
        os.kill(supervisor.pid, signal.SIGHUP)
