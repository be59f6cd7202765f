"""``ancestral serve``: the HTTP service, until a signal ends it."""

from __future__ import annotations

from contextlib import nullcontext

import click

from service.cli import explained


@click.command(short_help="Serve over HTTP.")
@click.option("--host", help="Address to listen on; overrides ANCESTRAL_HOST.")
@click.option("--port", type=int, help="TCP port to listen on; overrides ANCESTRAL_PORT.")
@click.option("--no-worker", is_flag=True, help="Start no worker: others sample. Needs ANCESTRAL_REDIS_URL.")
def command(host: str | None, port: int | None, no_worker: bool) -> None:
    """Serve over HTTP until SIGTERM or Ctrl-C, then end with exit code 0.

    Without ANCESTRAL_REDIS_URL it brings its own Redis (Valkey, with its data in ANCESTRAL_DATA_DIR). It starts one
    worker process, unless told not to; more may be started anywhere with `ancestral worker`. Requests in flight may go
    on for ANCESTRAL_SHUTDOWN_SECONDS; a second Ctrl-C breaks them off at once. Every setting is in
    docs/configuration.md.
    """
    from models.checkpoint import CheckpointError
    from models.library import LibraryError
    from service.api.http.auth import Keys, KeysError
    from service.api.server import serve
    from service.catalog.catalog import load_catalog
    from service.cli.local import embedded
    from service.cli.local.sockets import AddressError, listen
    from service.settings import SettingsError, load_settings
    from service.telemetry import logging as logs

    errors = (SettingsError, LibraryError, CheckpointError, AddressError, KeysError, embedded.EmbeddedError)
    with explained(*errors):
        settings = load_settings(host=host, port=port)
        if no_worker and settings.redis_url is None:
            raise click.UsageError("--no-worker needs ANCESTRAL_REDIS_URL: nobody else can reach a Redis of its own.")
        logs.configure(settings.log_level)
        keys, catalog = Keys.load(settings.api_keys_file), load_catalog(settings)
        if not no_worker:
            embedded.check_worker(settings)
        with (
            listen(settings.host, settings.port) as listener,
            embedded.redis_url(settings) as url,
            nullcontext() if no_worker else embedded.worker(settings, url),
        ):
            serve(settings, catalog, keys, url, listener)
