"""The application: settings and loaded models in, an ASGI app out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service import __version__, errors
from service.api import health, models, speech
from service.api.state import State
from service.middleware import BodyLimit, Frontier
from service.settings import Settings
from service.streaming import Stage
from service.synthesis import Synthesizer

log = logging.getLogger(__name__)

DESCRIPTION = """\
Speech from a conditional WaveNet, one sample at a time. The routes under `/v1/audio` and `/v1/models` are those of
OpenAI's API, so its clients work unchanged; `seed`, `temperature` and `sample_rate` are ours.
"""


def create_app(settings: Settings, synthesizer: Synthesizer) -> FastAPI:
    """Wire the service together.

    Args:
        settings: the deployment.
        synthesizer: the models to serve, loaded. They are warmed in the background once the app has started.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stage = Stage(
            settings.threads, settings.max_concurrent_streams, settings.max_queued_streams, settings.stall_seconds
        )
        state = State(settings, synthesizer, stage)
        app.state.service = state
        warming = asyncio.create_task(_warm(state))
        try:
            yield
        finally:
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
            stage.close()

    app = FastAPI(
        title="Ancestral",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    errors.install(app)
    for router in (speech.router, models.router, health.router):
        app.include_router(router)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(Frontier)
    return app


async def _warm(state: State) -> None:
    try:
        await state.stage.run(state.synthesizer.warm)
    except Exception:  # the server must outlive it, to say what it is not ready for
        log.exception("the models cannot be used")
        state.obstacle = "A model failed its first word; the log says why."
    else:
        state.obstacle = None
        log.info("ready", extra={"models": sorted(state.synthesizer.models)})
