"""``ancestral wyoming``: voices for Home Assistant and other clients of the Wyoming protocol."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import click

from ancestral.command_line import click_errors


@click.command(short_help="Speak for Home Assistant (Wyoming protocol).")
@click.option("--uri", default="tcp://127.0.0.1:10300", show_default=True, help="tcp://HOST:PORT or unix:///PATH.")
@click.option("--voice", help="Of requests that name none; the model's first voice by default.")
@click.option("--model", help="A model's id; the first one that has the voice by default.")
def command(uri: str, voice: str | None, model: str | None) -> None:
    """Serve the voices of a model until Ctrl-C or SIGTERM. Needs the extra 'wyoming'.

    The protocol knows no keys: whoever reaches the address can use it.
    """
    from ancestral.service.cli.local.model import FAILURES, configured_model, model_that_speaks

    try:
        from wyoming.server import AsyncServer

        from ancestral.service.cli.local.wyoming import Connection, Speaking
    except ImportError as error:
        raise click.ClickException("needs the extra 'wyoming': pip install 'ancestral[wyoming]'") from error

    async def serve() -> None:
        speaking = Speaking(loaded, default, asyncio.Semaphore(os.cpu_count() or 1))
        click.echo(f"{len(loaded.voices)} voices at {uri}", err=True)
        await server.run(partial(Connection, speaking))

    with click_errors(*FAILURES, ValueError):
        server = AsyncServer.from_uri(uri)
        loaded = configured_model(model or model_that_speaks(voice))
        default = loaded.voice(voice).id
        asyncio.run(serve())
