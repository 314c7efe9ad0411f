"""The application: all routes around the models of one worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from distingo.serving.correction_routes import add_corrections
from distingo.serving.corrections import CorrectionStore
from distingo.serving.direct import DirectRoute
from distingo.serving.guarding import Guard
from distingo.serving.health_routes import add_health_routes
from distingo.serving.judging import Judging
from distingo.serving.model_routes import add_model_routes
from distingo.serving.open_inference_routes import add_open_inference_routes
from distingo.serving.page_routes import add_page
from distingo.serving.predict_routes import PREDICT_PATH, add_predict_routes
from distingo.serving.refusals import add_refusals
from distingo.serving.scoring_routes import add_scoring_routes
from distingo.serving.served import ServedModels
from distingo.serving.settings import ServeSettings
from distingo.version import __version__


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
