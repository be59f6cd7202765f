"""``ancestral worker``: a process that samples, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal

import click

from service.commands import explained


@click.command(short_help="Sample for the servers that share a Redis.")
@click.option("--check", is_flag=True, help="Load every model, say what samples it, and end: 1 if one cannot be used.")
def command(check: bool) -> None:
    """Take jobs from ANCESTRAL_REDIS_URL until SIGTERM or Ctrl-C, then leave those in hand to other workers.

    Any number may run, on any machine, each with the models that the servers have. Every setting is in
    docs/configuration.md.
    """
    from models.checkpoint import CheckpointError
    from models.library import LibraryError
    from service import logs
    from service.broker import Broker
    from service.repertoire import Repertoire, load_repertoire
    from service.settings import Settings, SettingsError, load_settings
    from service.worker import Worker

    async def work(settings: Settings, repertoire: Repertoire, url: str) -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        broker = Broker(url)
        try:
            await Worker(settings, repertoire, broker).run(stopping)
        finally:
            await broker.close()

    with explained(SettingsError, LibraryError, CheckpointError):
        settings = load_settings()
        if check:
            for name, sampler in load_repertoire(settings).samplers.items():
                click.echo(f"{name}: {sampler.engine.name}")
            return
        if settings.redis_url is None:
            raise SettingsError("ANCESTRAL_REDIS_URL: a worker needs it; `ancestral serve` brings its own of both")
        logs.configure(settings.log_level)
        asyncio.run(work(settings, load_repertoire(settings), settings.redis_url))
