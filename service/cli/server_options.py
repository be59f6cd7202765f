"""``--url`` and ``--api-key-file``: of commands that can let a server sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from ancestral.client.server import Server

F = TypeVar("F", bound=Callable[..., object])


def server_options(function: F) -> F:
    """Options that name a server; the command gets ``url`` and ``api_key_file``."""
    key = click.option(
        "--api-key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with the key for --url, if the server needs one.",
    )
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
