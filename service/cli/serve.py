"""``ancestral serve``: the HTTP service, until a signal ends it."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import nullcontext

import click

from ancestral.command_line import click_errors, gc_frozen


@click.command(short_help="Serve over HTTP.")
@click.option("--host", help="Address to listen on; overrides ANCESTRAL_HOST.")
@click.option("--port", type=int, help="TCP port to listen on; overrides ANCESTRAL_PORT.")
@click.option("--no-worker", is_flag=True, help="Start no worker process. Needs ANCESTRAL_REDIS_URL.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser once the server is ready.")
def command(host: str | None, port: int | None, no_worker: bool, open_page: bool) -> None:
    """Serve over HTTP until SIGTERM or Ctrl-C, then end with exit code 0.

    Without ANCESTRAL_REDIS_URL it starts the bundled Redis (Valkey, with its data in ANCESTRAL_DATA_DIR). It also
    starts one worker process, unless --no-worker is given; start more anywhere with `ancestral worker`. At the end
    requests in flight have ANCESTRAL_SHUTDOWN_SECONDS to finish; a second Ctrl-C cancels them at once.
    docs/configuration.md lists all settings.
    """
    with gc_frozen():
        from ancestral.catalog.catalog import load_catalog
        from ancestral.models.checkpoint import CheckpointError
        from ancestral.models.entries import ModelError
        from ancestral.service.api.app import create_app
        from ancestral.service.api.http.auth import Keys, KeysError
        from ancestral.service.api.server import serve
        from ancestral.service.broker.connection import UrlError, check_url
        from ancestral.service.cli.local import embedded
        from ancestral.service.cli.local.supervisor import AddressError, address_of, banner, listen
        from ancestral.service.settings import SettingsError, load_settings
        from ancestral.service.telemetry import logging as logs

    errors = (SettingsError, UrlError, ModelError, CheckpointError, AddressError, KeysError, embedded.EmbeddedError)
    with click_errors(*errors):
        settings = load_settings(host=host, port=port)
        if settings.redis_url is not None:
            check_url(settings.redis_url)
        signer = settings.load_signer()
        if no_worker and settings.redis_url is None:
            raise click.UsageError(
                "--no-worker needs ANCESTRAL_REDIS_URL: no worker elsewhere can reach the bundled Redis."
            )
        if open_page and settings.page == "off":
            raise click.UsageError("--open: ANCESTRAL_PAGE is off, so there is no page to open.")
        logs.configure_logging(settings.log_level, settings.log_format)
        keys, catalog = Keys.load(settings.api_keys_file), load_catalog(settings.catalog_config)
        if not no_worker:
            embedded.check_worker(settings)
        with (
            listen(settings.host, settings.port, "ANCESTRAL_PORT") as listener,
            embedded.redis_url(settings) as url,
            nullcontext() if no_worker else embedded.start_worker(settings, url),
        ):

            def on_ready() -> None:
                url = address_of(*listener.getsockname()[:2])
                if logs.is_text(settings.log_format) and sys.stderr.isatty():
                    needs_key, colours = settings.api_keys_file is not None, logs.colours_wanted()
                    click.echo(
                        banner(catalog, url, page=settings.page == "on", keys=needs_key, colours=colours), err=True
                    )
                if open_page:
                    webbrowser.open(f"{url}/")

            with gc_frozen():
                app = create_app(settings, catalog, keys, url, signer)
            serve(app, settings, listener, on_ready)
