"""``/livez``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Response

from distingo.serving import documentation
from distingo.serving.answers import as_answer
from distingo.serving.judging import Judging
from distingo.serving.metrics import CONTENT_TYPE


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
