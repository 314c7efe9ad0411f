"""One process that serves: a socket, an event loop, signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from distingo.machine.process import collect_as_usual, configure_process
from distingo.serving.app import create_app
from distingo.serving.clients import Proxies
from distingo.serving.connections import ConnectionLimits, ConnectionWatch
from distingo.serving.metrics import Metrics
from distingo.serving.protocol import limited_protocol
from distingo.serving.served import ServedModels
from distingo.serving.settings import NamedRun, ServeSettings

_LONGEST_END = 2.0
"""Seconds for what is left once connections have been ended and requests cancelled."""

_log = logging.getLogger("distingo.serving")


def serve_process(
    runs: Sequence[NamedRun],
    settings: ServeSettings,
    listening: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_reload: Callable[[], None] | None = None,
) -> None:
    """Load the models and serve them until SIGTERM or SIGINT; SIGHUP reloads changed run folders.

    Args:
        runs: To serve.
        settings: Of the server.
        listening: The socket.
        on_ready: Called once requests are answered.
        on_reload: Called after a client's request changed a model.

    Raises:
        RunError: A run can't be loaded.
    """
    configure_process(threads=False)
    collect_as_usual()
    _keep_blas_to_one_thread()
    models = ServedModels(runs, settings, Metrics())
    app = create_app(models, settings, on_reload=on_reload)
    build_server(app, models, settings, on_ready=on_ready).run([listening])


def _keep_blas_to_one_thread() -> None:
    """Small products of matrices beside busy threads: several would wait for each other longer than they compute."""
    from threadpoolctl import threadpool_limits

    import distingo.models.feature_bank  # noqa: F401 - with the libraries that are to be limited

    threadpool_limits(1, user_api="blas")


def build_server(
    app: FastAPI, models: ServedModels, settings: ServeSettings, *, on_ready: Callable[[], None]
) -> uvicorn.Server:
    """The server of an application, with its limits on connections and its handling of signals."""
    watch = ConnectionWatch(_limits(settings))
    config = uvicorn.Config(
        app,
        loop="auto",
        http=limited_protocol(watch),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=Proxies(settings.proxies).written_out(),
    )
    for chatty in ("uvicorn", "python_multipart"):  # a client's faults are answered and counted, not logged
        logging.getLogger(chatty).setLevel(logging.ERROR)
    return _Server(config, models, on_ready, watch, settings.grace)


def _limits(settings: ServeSettings) -> ConnectionLimits:
    return ConnectionLimits(
        header_timeout=settings.header_timeout,
        idle_timeout=settings.idle_timeout,
        body_timeout=settings.body_timeout,
        write_timeout=settings.write_timeout,
        most=settings.max_connections,
        most_of_client=settings.client_connections or None,
        proxies=Proxies(settings.proxies),
    )


class _Server(uvicorn.Server):
    """uvicorn's server with an ordinary end: on time, and a signal that was obeyed is not raised again."""

    def __init__(
        self,
        config: uvicorn.Config,
        models: ServedModels,
        on_ready: Callable[[], None],
        watch: ConnectionWatch,
        grace: float,
    ) -> None:
        super().__init__(config)
        self._models = models
        self._on_ready = on_ready
        self._watch = watch
        self._grace = grace

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing more in, finish what was asked, and after the time of grace end what is left."""
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                while (state.connections or state.tasks) and not self.force_exit:
                    await asyncio.sleep(0.05)
        self._watch.abort_all()
        for task in list(state.tasks):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_END):
                while state.connections or state.tasks:
                    await asyncio.sleep(0.02)
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: self.handle_exit,
            signal.SIGTERM: self.handle_exit,
        }
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = lambda _number, _frame: self._reload()
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reload(self) -> None:
        threading.Thread(target=self._models.reload_all, name="reloading", daemon=True).start()
