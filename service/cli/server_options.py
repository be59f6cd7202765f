"""``--url`` and ``--api-key-file``: of commands that can let a server sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ancestral.command_line import FILE

if TYPE_CHECKING:
    from ancestral.client.server import RemoteModel, Server
    from ancestral.model import Model
    from ancestral.models.entries import Voice

F = TypeVar("F", bound=Callable[..., object])


def server_options(function: F) -> F:
    """Options that name a server; the command gets ``url`` and ``api_key_file``."""
    key = click.option("--api-key-file", type=FILE, help="A file with the key for --url, if the server needs one.")
    url = click.option("--url", help="Let this server sample, such as http://localhost:8000, instead of this process.")
    return url(key(function))


def connected(url: str | None, api_key_file: Path | None) -> Server | None:
    """The server that the options name; None if they name none.

    Raises:
        click.UsageError: there is a key for no server.
        AncestralError: see :func:`ancestral.connect`.
    """
    if url is None:
        if api_key_file is not None:
            raise click.UsageError("--api-key-file is for --url")
        return None
    from ancestral.client.server import connect

    return connect(url, None if api_key_file is None else api_key_file.read_text().strip())


@dataclass(frozen=True)
class Chosen:
    """A model that speaks, here or of a server."""

    model: Model | RemoteModel
    voices: tuple[Voice, ...]
    summary: str
    """Description of the model."""
    is_remote: bool


@contextmanager
def chosen_model(url: str | None, api_key_file: Path | None, model: str | None, voice: str | None) -> Iterator[Chosen]:
    """The model that options choose: by its id, or else the first one that has the voice.

    Raises:
        click.UsageError: there is a key for no server.
        AncestralError: there is no such model or voice, or the server does not answer.
    """
    if (server := connected(url, api_key_file)) is None:
        from ancestral.service.cli.local.model import configured_model, model_that_speaks

        here = configured_model(model or model_that_speaks(voice))
        entry = here.description.entry
        yield Chosen(here, entry.voices, entry.description, is_remote=False)
        return
    with server:
        found = server.model_that_speaks(voice) if model is None else server.load(model)
        yield Chosen(found, found.described_voices, str(found.description["description"]), is_remote=True)
