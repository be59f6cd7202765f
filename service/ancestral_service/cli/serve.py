"""``ancestral serve``: the HTTP service, until a signal ends it."""

from __future__ import annotations

import json
import shlex
import sys
import webbrowser
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from ancestral.command_line import address_of, click_errors, gc_frozen

if TYPE_CHECKING:
    from ancestral.catalog.catalog import Catalog
    from ancestral.catalog.descriptions import Model


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
        from ancestral.settings import SettingsError
        from ancestral_models.checkpoint import CheckpointError
        from ancestral_models.entries import ModelError
        from ancestral_service.broker.connection import UrlError, check_url
        from ancestral_service.cli.local import embedded
        from ancestral_service.cli.local.supervisor import AddressError, listen
        from ancestral_service.settings import load_settings
        from ancestral_service.telemetry import logging as logs

    with click_errors(SettingsError, UrlError, ModelError, CheckpointError, AddressError, embedded.EmbeddedError):
        settings = load_settings(host=host, port=port)
        if settings.redis_url is not None:
            check_url(settings.redis_url)
        signer = settings.load_signer()
        if no_worker and settings.redis_url is None:
            raise click.UsageError("--no-worker needs ANCESTRAL_REDIS_URL: no other worker reaches the bundled Redis.")
        if open_page and settings.page == "off":
            raise click.UsageError("--open: ANCESTRAL_PAGE is off, so there is no page to open.")
        logs.configure_logging(settings.log_level, settings.log_format)
        catalog = load_catalog(settings.catalog_config)
        keys = None
        if settings.api_keys_file is not None:  # what is wrong in it is said before anything is started
            from ancestral_service.api.http.auth import Keys

            keys = Keys(settings.api_keys_file)
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
                    text = banner(catalog, url, page=settings.page == "on", keys=needs_key, colours=colours)
                    click.echo(text, err=True)
                if open_page:
                    webbrowser.open(f"{url}/")

            with gc_frozen():  # while the worker starts on another core
                from ancestral_service.api.app import create_app
                from ancestral_service.api.http.auth import Keys
                from ancestral_service.api.server import serve

                app = create_app(settings, catalog, keys or Keys(None), url, signer)
            serve(app, settings, listener, on_ready)


# What ``ancestral serve`` prints on a terminal once it is ready: where it is, what it serves, a request to copy.


def banner(catalog: Catalog, url: str, *, page: bool, keys: bool, colours: bool) -> str:
    """The text, several lines.

    Args:
        catalog: the models to list.
        url: of the server.
        page: whether it serves the page.
        keys: whether requests need an API key.
        colours: whether to highlight with ANSI escapes.
    """
    rows = [(model.entry.id, _summary(model)) for model in catalog.models.values()]
    width = max(len(name) for name, _ in rows)
    title = f"Ancestral is ready: {url}"
    lines = [
        "",
        click.style(title, bold=True) if colours else title,
        *([f"  Page               {url}/"] if page else []),
        f"  API documentation  {url}/docs",
        "",
        *(f"  {name:<{width}}  {summary}" for name, summary in rows),
        "",
        "Try it:",
        *(f"  {line}" for line in _example(catalog, url, keys=keys)),
        "",
        "Ctrl-C stops the server.",
        "",
    ]
    return "\n".join(lines)


def _summary(model: Model) -> str:
    from ancestral.catalog.descriptions import ImageModel

    if isinstance(model, ImageModel):
        return f"pictures, {model.size} pixels"
    voices = ", ".join(voice.id for voice in model.entry.voices)
    return f"{'speech' if 'speech' in model.capabilities else 'sound without text'}, voices {voices}"


def _example(catalog: Catalog, url: str, *, keys: bool) -> list[str]:
    """A curl command for the first model."""
    from ancestral.catalog.descriptions import ANY, ImageModel

    model = next(iter(catalog.models.values()))
    if model.needs_upload:
        route = "portraits" if "image_portrait" in model.capabilities else "reconstructions"
        form = [f"  -F model={model.entry.id} -F image=@picture.png"]
        return [f"curl {shlex.quote(f'{url}/v1/images/{route}')} -o picture.json \\", *_key(keys=keys), *form]
    body: dict[str, object] = {"model": model.entry.id}
    if isinstance(model, ImageModel):
        body["prompt"] = ANY
        return _curl(f"{url}/v1/images/generations", body, "picture.json", keys=keys)
    body |= {"voice": model.entry.voices[0].id, "response_format": "wav"}
    if "speech" in model.capabilities:
        return _curl(f"{url}/v1/audio/speech", body | {"input": "Hello, world."}, "hello.wav", keys=keys)
    return _curl(f"{url}/v1/audio/generations", body | {"duration": 3}, "sound.wav", keys=keys)


def _curl(url: str, body: Mapping[str, object], output: str, *, keys: bool) -> list[str]:
    data = shlex.quote(json.dumps(body, separators=(",", ":")))
    curl = f"curl {shlex.quote(url)} -o {output} -H 'content-type: application/json' \\"
    return [curl, *_key(keys=keys), f"  -d {data}"]


def _key(*, keys: bool) -> list[str]:
    return ['  -H "authorization: Bearer $KEY" \\'] if keys else []
