"""The supervisor of several worker processes that serve on one socket and are restarted when they die."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from distingo.errors import ResourceError, RunError, names_options, naming_options
from distingo.serving.settings import NamedRun, ServeSettings

_WORKER = "distingo.serving.worker"
_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_QUICK_DEATH_SECONDS = 5.0
_LONGEST_PAUSE = 30.0
_READY = "ready"
_log = logging.getLogger("distingo.serving")


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    reports: Connection
    began: float
    is_ready: bool = False


class Supervisor:
    """Keeps workers running until a signal stops it.

    All workers accept connections from the same socket, so that the others continue if one dies. They are forked from
    a fork server that has imported all modules but loaded no model: a new worker is ready in about the time that it
    takes to load the models, and no process with threads is ever forked.

    Args:
        runs: The runs to serve.
        settings: The server's settings.
        listening: The listening socket.
        on_ready: Called once all workers accept requests.
    """

    def __init__(
        self,
        runs: Sequence[NamedRun],
        settings: ServeSettings,
        listening: socket.socket,
        on_ready: Callable[[], None],
    ) -> None:
        self._runs = runs
        self._settings = settings
        self._listening = listening
        self._on_ready = on_ready
        self._workers: list[_Worker] = []
        self._announced = False
        self._stopping = False
        self._pause = 0.0
        self._signals, self._bell = socket.socketpair()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            RunError: A worker can't start; with the message and code of the error it reported.
            ResourceError: A worker died before all workers were ready.
        """
        folder = tempfile.mkdtemp(prefix="distingo-metrics-")
        os.environ[_METRICS_FOLDER] = folder
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the fork server must not have threads
        self._bell.settimeout(0)
        self._signals.settimeout(0)
        before_wakeup = signal.set_wakeup_fd(self._bell.fileno())
        before = {number: signal.signal(number, handler) for number, handler in self._handlers().items()}
        try:
            context = _context()
            for _ in range(self._settings.workers):
                self._workers.append(self._start(context))
            while not self._stopping:
                self._watch(context)
        finally:
            self._stop()
            signal.set_wakeup_fd(before_wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            del os.environ[_METRICS_FOLDER]
            shutil.rmtree(folder, ignore_errors=True)

    def _handlers(self) -> dict[int, Callable[[int, Any], None]]:
        def stop(_number: int, _frame: Any) -> None:
            self._stopping = True

        def reload(_number: int, _frame: Any) -> None:
            self._signal_all(signal.SIGHUP)

        return {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}

    def _start(self, context: Any) -> _Worker:
        reports, sender = context.Pipe(duplex=False)
        arguments = (self._runs, self._settings, self._listening, sender)
        process = context.Process(target=_work, args=arguments, kwargs={"as_options": names_options()}, daemon=True)
        process.start()
        sender.close()
        return _Worker(process, reports, time.monotonic())

    def _watch(self, context: Any) -> None:
        """Wait for a signal, a worker's report or a worker's end, and handle it."""
        starting = [worker.reports for worker in self._workers if not worker.is_ready]
        ended = [worker.process.sentinel for worker in self._workers]
        events = wait([self._signals, *starting, *ended])
        if self._signals in events:
            self._signals.recv(4096)
        for worker in self._workers:
            if worker.reports in events and not worker.is_ready:
                self._read_report(worker)
        for number, worker in enumerate(self._workers):
            if worker.process.sentinel in events and not self._stopping:
                self._workers[number] = self._replace(context, worker)

    def _read_report(self, worker: _Worker) -> None:
        try:
            report = worker.reports.recv()
        except EOFError:
            worker.process.join(1)
            return
        if report != _READY and self._announced:
            _log.warning("a worker could not start: %s", report)
            return
        if report != _READY:
            raise RunError(str(report), code=report.code, parameter=report.parameter)
        worker.is_ready = True
        if not self._announced and all(each.is_ready for each in self._workers):
            self._announced = True
            self._on_ready()

    def _replace(self, context: Any, worker: _Worker) -> _Worker:
        worker.process.join()
        worker.reports.close()
        self._forget_metrics(worker)
        outcome = f"exit code {worker.process.exitcode}"
        if not self._announced:
            raise ResourceError(
                f"a worker ended before it served ({outcome}); its last messages are above", code="worker_failed"
            )
        lived = time.monotonic() - worker.began
        quick = not worker.is_ready or lived <= _QUICK_DEATH_SECONDS
        self._pause = min(_LONGEST_PAUSE, max(0.5, 2 * self._pause)) if quick else 0.0
        _log.warning("a worker ended (%s) and is started again", outcome)
        wait([self._signals], self._pause)
        return self._start(context)

    def _forget_metrics(self, worker: _Worker) -> None:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.process.pid)  # type: ignore[no-untyped-call]

    def _signal_all(self, number: int) -> None:
        for worker in self._workers:
            if worker.is_ready and worker.process.is_alive() and worker.process.pid is not None:
                os.kill(worker.process.pid, number)

    def _stop(self) -> None:
        """Let all workers finish their requests in flight, and kill those that exceed the grace period."""
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + self._settings.grace + 4
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._signals.close()
        self._bell.close()


def _work(*arguments: Any, as_options: bool) -> None:
    from distingo.serving.worker import work

    with naming_options(named=as_options):
        work(*arguments)


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_WORKER])
    return context
