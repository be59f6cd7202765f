"""``ancestral wyoming``: voices for Home Assistant and other clients of the Wyoming protocol."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ancestral.command_line import click_errors
from ancestral.service.cli.server_options import connected, server_options

if TYPE_CHECKING:
    from ancestral.client.server import RemoteModel
    from ancestral.model import Model

_STREAMS: Final = 64
"""At a time, if a server samples them."""


@click.command(short_help="Speak for Home Assistant (Wyoming protocol).")
@click.option("--uri", default="tcp://127.0.0.1:10300", show_default=True, help="tcp://HOST:PORT or unix:///PATH.")
@click.option("--voice", help="Of requests that name none; the model's first voice by default.")
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@server_options
def command(uri: str, voice: str | None, model: str | None, url: str | None, api_key_file: Path | None) -> None:
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
        limit = asyncio.Semaphore(os.cpu_count() or 1 if server is None else _STREAMS)
        speaking = Speaking(chosen, voices, summary, chosen.voice(voice).id, limit)
        click.echo(f"{len(voices)} voices at {uri}", err=True)
        await listener.run(partial(Connection, speaking))

    with click_errors(*FAILURES, ValueError), ExitStack() as stack:
        listener = AsyncServer.from_uri(uri)
        chosen: Model | RemoteModel
        if server := connected(url, api_key_file):
            stack.enter_context(server)
            chosen = server.model_that_speaks(voice) if model is None else server.load(model)
            voices, summary = chosen.described_voices, str(chosen.description["description"])
        else:
            chosen = configured_model(model or model_that_speaks(voice))
            voices, summary = chosen.description.entry.voices, chosen.description.entry.description
        asyncio.run(serve())
