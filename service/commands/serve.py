"""``ancestral serve``: the HTTP service, until a signal ends it."""

from __future__ import annotations

import click

from service.commands import explained


@click.command(short_help="Serve over HTTP.")
@click.option("--host", help="Address to listen on; overrides ANCESTRAL_HOST.")
@click.option("--port", type=int, help="TCP port to listen on; overrides ANCESTRAL_PORT.")
def command(host: str | None, port: int | None) -> None:
    """Serve over HTTP until SIGTERM or Ctrl-C, then end with exit code 0.

    Requests in flight may go on for ANCESTRAL_SHUTDOWN_SECONDS; a second Ctrl-C breaks them off at once. Every setting
    is in docs/configuration.md.
    """
    from models.checkpoint import CheckpointError
    from models.library import LibraryError
    from service.server import AddressError, serve
    from service.settings import SettingsError, load_settings
    from service.synthesis import load_synthesizer

    with explained(SettingsError, LibraryError, CheckpointError, AddressError):
        settings = load_settings(host=host, port=port)
        serve(settings, load_synthesizer(settings))
