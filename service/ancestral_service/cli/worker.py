"""``ancestral worker``: a process that samples jobs until a signal ends it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import re
import signal
from contextlib import suppress
from socket import socket
from typing import Final

import click

from ancestral.command_line import click_errors, gc_frozen

log = logging.getLogger(__name__)

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 128 * 1024


@click.command(short_help="Sample jobs for API servers, through Redis.")
@click.option("--check", is_flag=True, help="Load all models, print their engines, and exit: with 1 if all fail.")
@click.option(
    "--name",
    default="",
    help="Name of a worker that is started again when it ends, so that one runs at a time: the next goes on at once "
    "with what a killed one was sampling.",
)
def command(check: bool, name: str) -> None:
    """Sample the jobs in ANCESTRAL_REDIS_URL until SIGTERM or Ctrl-C, then hand unfinished ones to other workers.

    Run any number, on any machine, each with the same models as the API servers. docs/configuration.md lists all
    settings.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]*", name):
        raise click.BadParameter("letters, digits and . _ - only", param_hint="--name")
    with gc_frozen():
        from ancestral.loader import LoadedModels, load_models
        from ancestral.settings import SettingsError
        from ancestral_models.checkpoint import CheckpointError
        from ancestral_models.entries import ModelError
        from ancestral_service.broker.connection import UrlError, check_url
        from ancestral_service.cli.local.supervisor import AddressError, listen
        from ancestral_service.settings import Settings, load_settings
        from ancestral_service.telemetry.logging import configure_logging
        from ancestral_service.worker import run_worker

    async def work(settings: Settings, loaded_models: LoadedModels, listener: socket | None) -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await run_worker(settings, loaded_models, stopping, listener, name)

    with click_errors(SettingsError, UrlError, ModelError, CheckpointError, AddressError):
        settings = load_settings()
        if check:
            for name, sampler in load_models(settings.catalog_config, settings.engine).samplers.items():
                click.echo(f"{name}: {sampler.engine.name}")
            return
        if settings.redis_url is None:
            raise SettingsError("ANCESTRAL_REDIS_URL: a worker needs it (`ancestral serve` starts Redis and a worker)")
        check_url(settings.redis_url)
        configure_logging(settings.log_level, settings.log_format)
        log.info("worker starting")
        _free_large_arrays()
        port = settings.metrics_port
        listener = None if port is None else listen(settings.host, port, "ANCESTRAL_METRICS_PORT")
        loaded_models = load_models(settings.catalog_config, settings.engine)
        gc.collect()
        gc.freeze()
        asyncio.run(work(settings, loaded_models, listener))


def _free_large_arrays() -> None:
    """Have glibc give the memory of large arrays back when they are freed.

    By default it keeps what was freed, for every thread, once arrays of up to 32 MB have come and gone.
    """
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
