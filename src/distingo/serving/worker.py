"""A worker of several: what the fork server imports beforehand, and what each process then does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from socket import socket

import distingo.explanation.explaining  # noqa: F401 - imported once, before any worker is forked
from distingo.commands.preparing import prepare
from distingo.errors import DistingoError
from distingo.serving.server import serve_process
from distingo.serving.settings import NamedRun, ServeSettings


def work(runs: Sequence[NamedRun], settings: ServeSettings, listening: socket, says: Connection) -> None:
    """Serve until told to stop, and tell the supervisor when it begins, or why it can't."""
