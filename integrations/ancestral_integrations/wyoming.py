"""``ancestral wyoming``: voices for Home Assistant and other clients of the Wyoming protocol."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Final

import click

from ancestral.command_line import chosen_model, click_errors, field_options, server_options
from ancestral.local import FAILURES
from ancestral.requests import Speak

_STREAMS: Final = 64
"""Most streams at a time, if a server samples them."""


@click.command(short_help="Speak for Home Assistant (Wyoming protocol).")
@click.option("--uri", default="tcp://127.0.0.1:10300", show_default=True, help="tcp://HOST:PORT or unix:///PATH.")
@click.option("--voice", help="For requests that name none; the model's first voice by default.")
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@field_options(Speak, "lead_in", "tail", default=0, show_default=True)
@server_options
def command(
    uri: str, voice: str | None, model: str | None, lead_in: int, tail: int, url: str | None, api_key_file: Path | None
) -> None:
    """Serve the voices of a model until Ctrl-C or SIGTERM. Needs the extra 'wyoming'.

    The protocol knows no keys: whoever reaches the address can use it.
    """
    try:
        from wyoming.server import AsyncServer

        from ancestral_integrations.wyoming_protocol import Connection, Speaking
    except ImportError as error:
        raise click.ClickException(f"needs {error.name}: pip install './integrations[wyoming]'") from error

    async def serve() -> None:
        limit = asyncio.Semaphore(_STREAMS if chosen.is_remote else os.cpu_count() or 1)
        first = chosen.model.voice(voice).id
        speaking = Speaking(chosen.model, chosen.voices, chosen.summary, first, limit, lead_in, tail)
        click.echo(f"{len(chosen.voices)} voices at {uri}", err=True)
        await listener.run(partial(Connection, speaking))

    with click_errors(*FAILURES, ValueError):
        listener = AsyncServer.from_uri(uri)
        with chosen_model(url, api_key_file, model, voice) as chosen:
            asyncio.run(serve())
