"""The application: all routes around the models of one worker.

``GET /models`` and ``POST /models/{name}/reload``.

``/livez``, ``/readyz`` and ``/metrics``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from distingo.errors import DistingoError
from distingo.serving import documentation
from distingo.serving.answers import as_answer, describe_model
from distingo.serving.correction_routes import add_corrections
from distingo.serving.corrections import CorrectionStore
from distingo.serving.guarding import Guard
from distingo.serving.judging import Judging
from distingo.serving.metrics import CONTENT_TYPE
from distingo.serving.open_inference_routes import add_open_inference_routes
from distingo.serving.page_routes import add_page
from distingo.serving.predict_routes import PREDICT_PATH, DirectRoute, add_predict_routes
from distingo.serving.refusals import add_refusals
from distingo.serving.refused import RefusedError
from distingo.serving.scoring import add_scoring_routes
from distingo.serving.served import ServedModels
from distingo.serving.settings import ServeSettings
from distingo.version import __version__


def add_model_routes(app: FastAPI, judging: Judging, on_reload: Callable[[], None] | None = None) -> None:
    """Offer the routes about models.

    Args:
        app: To add them to.
        judging: With the models.
        on_reload: Called after a model was changed, to tell the other workers.
    """

    @app.get("/models", **documentation.MODELS)
    async def list_models() -> Response:
        allowed = judging.settings.corrections is not None
        work = [asyncio.to_thread(describe_model, model, corrections=allowed) for model in judging.models]
        return as_answer({"models": await asyncio.gather(*work)})

    @app.post("/models/{name}/reload", **documentation.RELOAD)
    async def reload_model(request: Request) -> Response:
        name = request.path_params["name"]
        judging.models.get(name)
        try:
            model, changed = await asyncio.to_thread(judging.models.reload, name)
        except DistingoError as error:
            raise RefusedError(409, "the run folder holds no whole model now; the old version goes on") from error
        if on_reload is not None:
            on_reload()
        return as_answer({"model": {"name": model.name, "version": model.version}, "changed": changed})


def add_health_routes(app: FastAPI, judging: Judging) -> None:
    """Offer the routes for those who look after the server."""

    @app.get("/livez", **documentation.LIVE)
    async def live() -> Response:
        return as_answer({"live": True})

    @app.get("/readyz", **documentation.READY)
    async def ready() -> Response:
        return as_answer({"ready": True})

    @app.get("/metrics", **documentation.METRICS)
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(judging.metrics.render), headers={"Content-Type": CONTENT_TYPE})


def create_app(
    models: ServedModels, settings: ServeSettings, *, on_reload: Callable[[], None] | None = None
) -> FastAPI:
    """Put an application together.

    Args:
        models: Loaded; closed when the application ends.
        settings: Of the server.
        on_reload: Called after a model was changed, to tell the other workers.

    Raises:
        DataError: The file of corrections is something else.
        ResourceError: It can't be made or opened.
    """
    store = None if settings.corrections is None else CorrectionStore(settings.corrections)
    judging = Judging(models, settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        judging.close()

    app = FastAPI(
        title="distingo",
        version=__version__,
        summary="Names what pictures show.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    predict = DirectRoute(PREDICT_PATH, "POST", add_predict_routes(app, judging))
    add_model_routes(app, judging, on_reload)
    add_open_inference_routes(app, judging, on_reload)
    add_scoring_routes(app, judging)
    add_health_routes(app, judging)
    add_corrections(app, judging, store)
    add_page(app, settings)
    add_refusals(app)
    app.add_middleware(Guard, settings=settings, metrics=models.metrics, direct=predict)
    return app
