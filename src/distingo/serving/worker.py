"""A worker of several: what the fork server imports beforehand, and what each process then does."""

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

from distingo.errors import DistingoError
from distingo.serving.server import serve_process
from distingo.serving.settings import NamedRun, ServeSettings


def import_all() -> None:
    """Import what workers will need, once, before any of them is forked; nothing is computed and no thread started."""
    import scipy.stats  # noqa: F401
    import uvicorn.loops.auto
    import uvicorn.protocols.http.httptools_impl  # noqa: F401

    import distingo.explanation.explaining  # noqa: F401
    from distingo.models.architectures import import_timm
    from distingo.prediction.libraries import import_openvino

    import_timm()
    if importlib.util.find_spec("openvino") is not None:
        import_openvino()


def work(runs: Sequence[NamedRun], settings: ServeSettings, listening: socket, says: Connection) -> None:
    """Serve until told to stop; tell the supervisor when that begins, or why it can't.

    Args:
        runs: To serve.
        settings: Of the server.
        listening: The socket that all workers share.
        says: To the supervisor.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the supervisor tells us
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    logging.getLogger("distingo").setLevel(logging.INFO)
    threading.Thread(target=_end_with_the_supervisor, daemon=True).start()
    try:
        serve_process(runs, settings, listening, on_ready=lambda: says.send("ready"), on_reload=_tell_supervisor)
    except DistingoError as error:
        says.send(error)
        sys.exit(error.exit_code)


def _end_with_the_supervisor() -> None:
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _tell_supervisor() -> None:
    """Have the other workers reload too."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and supervisor.pid is not None:
        os.kill(supervisor.pid, signal.SIGHUP)
