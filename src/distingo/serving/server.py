"""A single server process: the application with all its routes, the event loop and signal handling."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI, Request, Response

from distingo.machine.process import collect_as_usual, configure_process
from distingo.serving import documentation
from distingo.serving.answers import InputSize, ModelEntry, OptionLevels, as_answer
from distingo.serving.corrections import CorrectionStore, add_correction_route
from distingo.serving.http.access import Proxies
from distingo.serving.http.connections import ConnectionLimits, ConnectionWatch
from distingo.serving.http.guard import DirectRoute, Guard, answer_errors
from distingo.serving.http.protocol import limited_protocol
from distingo.serving.metrics import CONTENT_TYPE, Metrics
from distingo.serving.open_inference import add_open_inference_routes
from distingo.serving.page_routes import add_page
from distingo.serving.predict import PREDICT_PATH, add_predict_routes, add_scoring_routes
from distingo.serving.served_models import ServedModel, ServedModels
from distingo.serving.service import Service, can_explain
from distingo.serving.settings import NamedRun, ServeSettings
from distingo.version import __version__

_LONGEST_END = 2.0
"""Seconds to wait for remaining tasks after connections were aborted and requests cancelled."""

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
        runs: The runs to serve.
        settings: The server's settings.
        listening: The listening socket.
        on_ready: Called once the server accepts requests.
        on_reload: Called after a client's request has replaced a model.

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
    """Limit BLAS to one thread: for small matrix products, several would mostly wait for each other."""
    from threadpoolctl import threadpool_limits

    import distingo.models.reference_data  # noqa: F401 - loads the libraries to be limited

    threadpool_limits(1, user_api="blas")


def create_app(
    models: ServedModels, settings: ServeSettings, *, on_reload: Callable[[], None] | None = None
) -> FastAPI:
    """Build the application with all routes.

    Args:
        models: The loaded models; they are closed when the application shuts down.
        settings: The server's settings.
        on_reload: Called after a model was replaced, to notify the other workers.

    Raises:
        DataError: The file of corrections has another format.
        ResourceError: The file of corrections can't be created or opened.
    """
    store = None if settings.corrections is None else CorrectionStore(settings.corrections)
    service = Service(models, settings, on_reload)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="distingo",
        version=__version__,
        summary="Predicts what images show.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    predict = DirectRoute(PREDICT_PATH, "POST", add_predict_routes(app, service))
    _add_model_routes(app, service)
    add_open_inference_routes(app, service)
    add_scoring_routes(app, service)
    _add_health_routes(app, service)
    add_correction_route(app, service, store)
    add_page(app, settings)
    answer_errors(app)
    app.add_middleware(Guard, settings=settings, metrics=models.metrics, direct=predict)
    return app


def _add_model_routes(app: FastAPI, service: Service) -> None:
    @app.get("/models", **documentation.MODELS)
    async def list_models() -> Response:
        allowed = service.settings.corrections is not None
        work = [asyncio.to_thread(describe_model, model, corrections=allowed) for model in service.models]
        return as_answer({"models": await asyncio.gather(*work)})

    @app.post("/models/{name}/reload", **documentation.RELOAD)
    async def reload_model(request: Request) -> Response:
        model, changed = await service.reload(request.path_params["name"])
        return as_answer({"model": {"name": model.name, "version": model.version}, "changed": changed})


def describe_model(model: ServedModel, *, corrections: bool) -> ModelEntry:
    """Build the entry of a model for ``GET /models``.

    Args:
        model: A served model.
        corrections: Whether the server accepts corrections.
    """
    predictor, spec = model.predictor, model.predictor.model.description.image_spec
    size: InputSize = {"channels": 3}
    if spec is not None:
        size = {"height": spec.height, "width": spec.width, "channels": spec.channels}
    levels: OptionLevels = {"abstain_from": model.levels.abstain_from, "coverage_to": model.levels.coverage_to}
    return {
        "name": model.name,
        "version": model.version,
        "task": predictor.task,
        "classes": list(predictor.classes),
        "thresholds": predictor.thresholds,
        "explains": can_explain(predictor),
        "corrections": corrections,
        "levels": levels,
        "input": size,
    }


def _add_health_routes(app: FastAPI, service: Service) -> None:
    @app.get("/livez", **documentation.LIVE)
    async def live() -> Response:
        return as_answer({"live": True})

    @app.get("/readyz", **documentation.READY)
    async def ready() -> Response:
        return as_answer({"ready": True})

    @app.get("/metrics", **documentation.METRICS)
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(service.metrics.render), headers={"Content-Type": CONTENT_TYPE})


def build_server(
    app: FastAPI, models: ServedModels, settings: ServeSettings, *, on_ready: Callable[[], None]
) -> uvicorn.Server:
    """Build the server of an application, with limits on connections and signal handling."""
    limits = ConnectionLimits(
        header_timeout=settings.header_timeout,
        idle_timeout=settings.idle_timeout,
        body_timeout=settings.body_timeout,
        write_timeout=settings.write_timeout,
        most=settings.max_connections,
        most_of_client=settings.client_connections or None,
        proxies=Proxies(settings.proxies),
    )
    watch = ConnectionWatch(limits)
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
        forwarded_allow_ips=limits.proxies.text_forms(),
    )
    for chatty in ("uvicorn", "python_multipart"):  # errors of clients are answered and counted, not logged
        logging.getLogger(chatty).setLevel(logging.ERROR)
    return _Server(config, models, on_ready, watch, settings.grace)


class _Server(uvicorn.Server):
    """uvicorn's server, but it shuts down within a time limit and does not raise handled signals again."""

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
        """Accept no more connections, finish requests in flight, and abort the rest after the grace period."""
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
