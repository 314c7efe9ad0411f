"""``GET /models`` and ``POST /models/{name}/reload``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import FastAPI, Request, Response

from distingo.errors import DistingoError
from distingo.serving import documentation
from distingo.serving.answers import as_answer, describe_model
from distingo.serving.judging import Judging
from distingo.serving.refusals import RefusedError


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
