"""The application: settings and a catalog of models in, an ASGI app out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI

from ancestral.catalog.catalog import Catalog
from ancestral.provenance.c2pa import Signer
from ancestral.requests import whole
from ancestral_models.text import phonemize as read_aloud
from ancestral_service import __version__
from ancestral_service.api.http import errors as error_responses
from ancestral_service.api.http.auth import Keys, check_key, check_origin, install_cors
from ancestral_service.api.http.errors import check_query
from ancestral_service.api.http.middleware import BodyLimit, HeadMiddleware, RootMiddleware
from ancestral_service.api.http.openapi import ANY_ERROR, complete
from ancestral_service.api.routes import elevenlabs, images, jobs, models, page, speech
from ancestral_service.api.routes import websockets as streams
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import Connection, cancel_all
from ancestral_service.jobs.state import AppState, KeyedSeeds
from ancestral_service.settings import Settings
from ancestral_service.telemetry.logging import tracing
from ancestral_service.telemetry.metrics import ApiMetrics, Transport

UPLOADS = (
    "/v1/audio/generations",
    "/v1/audio/likelihood",
    "/v1/images/completions",
    "/v1/images/edits",
    "/v1/images/reconstructions",
    "/v1/images/portraits",
    "/v1/images/encodings",
    "/v1/images/likelihood",
    "/v1/verify",
    "/v1/detect",
)
"""The routes whose bodies hold files."""

DESCRIPTION = """\
Speech from a conditional WaveNet, pictures from a Gated PixelCNN, one sample at a time. The routes under `/v1/audio`,
`/v1/images` and `/v1/models` are those of OpenAI's API, so its clients work unchanged; `seed`, `temperature` and
`sample_rate` are additions. ElevenLabs' clients work as well. `docs/api.md` describes the websockets.
"""


TAGS = [
    {"name": "speech", "description": "Speech and other audio: sampled, continued, scored."},
    {"name": "elevenlabs", "description": "Speech for clients of ElevenLabs."},
    {"name": "images", "description": "Pictures: sampled, completed, reconstructed, interpolated, scored."},
    {
        "name": "jobs",
        "description": "Every request that samples is a job. Its output can be fetched later, and verified.",
    },
    {"name": "models", "description": "The models that are served."},
    {"name": "health", "description": "For load balancers and monitoring. These routes need no API key."},
]


class Application(FastAPI):
    """FastAPI with a complete ``/openapi.json``."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _exact(super().openapi())
            complete(self.openapi_schema)
        return self.openapi_schema


def _exact(value: Any) -> Any:
    """The schema with whole numbers as integers: FastAPI writes bounds as doubles, and 2^63 - 1 is not one."""
    if isinstance(value, dict):
        return {key: _exact(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_exact(part) for part in value]
    return whole(value)


def _include_routers(app: FastAPI, settings: Settings) -> None:
    opened: dict[str, Any] = {"dependencies": [Depends(check_query)]}
    keyed: dict[str, Any] = {"dependencies": [Depends(check_key), Depends(check_query)], "responses": {401: {}}}
    pages = [page.router] if settings.page == "on" else []
    # Of the files a secret in their URLs stands in for a key.
    for router in (page.health_router, page.reference, *pages, images.files):
        app.include_router(router, **opened)
    app.include_router(page.figures, **(opened if settings.public_metrics == "on" else keyed))
    for router in (*(module.router for module in (speech, elevenlabs, images, jobs, models)), elevenlabs.search_router):
        app.include_router(router, **keyed)
    app.include_router(streams.router, dependencies=[Depends(check_origin)])  # each dialect has its own place for a key


def create_app(settings: Settings, catalog: Catalog, keys: Keys, redis_url: str, signer: Signer | None) -> FastAPI:
    """Wire the service together.

    Args:
        settings: the deployment.
        catalog: the models to serve. Workers sample them; this process does not.
        keys: API keys that are accepted.
        redis_url: of the Redis shared with the workers.
        signer: signs finished files; None if nobody does.
    """
    counts, traces = ApiMetrics(), tracing(settings, "api")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(read_aloud, "Ready.")  # so that no request waits for the lexicon
        connection = Connection(redis_url, counts, replicas=settings.redis_replicas, shards=settings.redis_shards)
        app.state.service = AppState(
            settings, catalog, Clients(connection, settings.max_wait_seconds), counts, traces, signer
        )
        background = list[asyncio.Task[None]]()
        if settings.provenance_key is not None:
            key = settings.provenance_key.get_secret_value().encode()
            seeds = KeyedSeeds(key, app.state.service.broker)
            background.append(asyncio.create_task(seeds.run()))
            app.state.seed_source = seeds.draw  # of requests: RootMiddleware
        try:
            yield
        finally:
            await cancel_all(*background)
            await connection.close()
            await asyncio.to_thread(traces.close)

    app = Application(
        title="Ancestral",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        responses=ANY_ERROR,
        docs_url=None,  # routes/page.py serves it without a CDN
        redoc_url=None,
    )
    app.state.keys = keys
    app.state.seed_source = None
    app.state.public_lists = settings.public_lists == "on"
    app.state.draining = asyncio.Event()
    app.state.stopping = asyncio.Event()
    error_responses.install(app, lambda error: counts.refused(error, Transport.HTTP))
    _include_routers(app, settings)
    app.add_middleware(HeadMiddleware)
    uploads = dict.fromkeys(UPLOADS, settings.max_upload_bytes)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, uploads=uploads, seconds=settings.body_seconds)
    public = [] if settings.public_url is None else ["/".join(settings.public_url.lower().split("/")[:3])]
    install_cors(app, (*settings.cors_origins, *public))
    app.add_middleware(RootMiddleware, metrics=counts, tracing=traces)
    return app
