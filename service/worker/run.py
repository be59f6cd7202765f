"""A worker with all that it is made of, until it is told to stop."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from socket import socket

from ancestral.loader import LoadedModels
from ancestral.service.broker.connection import Connection
from ancestral.service.broker.workers import Workers
from ancestral.service.settings import Settings
from ancestral.service.telemetry.metrics import WorkerMetrics
from ancestral.service.telemetry.tracing import tracing
from ancestral.service.worker.probes import answering
from ancestral.service.worker.worker import Worker


async def run_worker(
    settings: Settings, loaded_models: LoadedModels, stopping: asyncio.Event, listener: socket | None
) -> None:
    """Sample jobs until ``stopping`` is set.

    Args:
        settings: with a ``redis_url``.
        loaded_models: what it samples.
        stopping: set by the caller, in this event loop.
        listener: the socket of its probes, if it has any.
    """
    assert settings.redis_url is not None
    metrics = WorkerMetrics()
    connection = Connection(settings.redis_url, metrics, shards=settings.redis_shards)
    traces = tracing(settings, "worker")
    worker = Worker(settings, loaded_models, Workers(connection), metrics, traces)
    try:
        with nullcontext() if listener is None else answering(listener, worker, metrics):
            await worker.run(stopping)
    finally:
        await connection.close()
        await asyncio.to_thread(traces.close)
