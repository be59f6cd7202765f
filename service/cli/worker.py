"""``ancestral worker``: a process that samples, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import nullcontext
from socket import socket

import click

from service.cli import explained


@click.command(short_help="Sample for the servers that share a Redis.")
@click.option("--check", is_flag=True, help="Load every model, say what samples it, and end: 1 if one cannot be used.")
def command(check: bool) -> None:
    """Take jobs from ANCESTRAL_REDIS_URL until SIGTERM or Ctrl-C, then leave those in hand to other workers.

    Any number may run, on any machine, each with the models that the servers have. Every setting is in
    docs/configuration.md.
    """
    from models.checkpoint import CheckpointError
    from models.library import LibraryError
    from service.broker import Broker
    from service.cli.local.sockets import AddressError, listen
    from service.images.tasks import TASKS as IMAGE_TASKS
    from service.jobs.tasks import Tasks
    from service.settings import Settings, SettingsError, load_settings
    from service.speech.tasks import TASKS as SPEECH_TASKS
    from service.telemetry import logging as logs
    from service.telemetry.metrics import WorkerMetrics
    from service.telemetry.tracing import tracing
    from service.worker.model_loader import LoadedModels, load_models
    from service.worker.probes import answering
    from service.worker.worker import Worker

    async def work(settings: Settings, loaded_models: LoadedModels, url: str, listener: socket | None) -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        metrics = WorkerMetrics()
        broker = Broker(url, metrics)
        traces = tracing(settings, "worker")
        worker = Worker(settings, loaded_models, Tasks(*SPEECH_TASKS, *IMAGE_TASKS), broker, metrics, traces)
        try:
            with nullcontext() if listener is None else answering(listener, worker, metrics):
                await worker.run(stopping)
        finally:
            await broker.close()
            await asyncio.to_thread(traces.close)

    with explained(SettingsError, LibraryError, CheckpointError, AddressError):
        settings = load_settings()
        if check:
            for name, sampler in load_models(settings).samplers.items():
                click.echo(f"{name}: {sampler.engine.name}")
            return
        if settings.redis_url is None:
            raise SettingsError("ANCESTRAL_REDIS_URL: a worker needs it; `ancestral serve` brings its own of both")
        logs.configure(settings.log_level)
        listener = None if settings.metrics_port is None else listen(settings.host, settings.metrics_port)
        asyncio.run(work(settings, load_models(settings), settings.redis_url, listener))
