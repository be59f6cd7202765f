"""``ancestral mcp``: speech, pictures and likelihoods for language models (Model Context Protocol)."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ancestral.command_line import FILE, address_of, click_errors, connected, local_models, server_options
from ancestral.local import FAILURES, LocalModels

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

_REMOTE: Final = 16
"""Requests at a time, if a server samples them."""


@click.command(short_help="Speak and draw for language models (MCP).")
@click.option("--http", metavar="HOST:PORT", help="Serve streamable HTTP at /mcp there, instead of standard input.")
@click.option(
    "--token-file",
    type=FILE,
    help="A file with the bearer token that --http requires; needed where others than this machine reach it.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write every sound and picture into this folder, and say its path: for clients that show none.",
)
@server_options
def command(
    http: str | None, token_file: Path | None, folder: Path | None, url: str | None, api_key_file: Path | None
) -> None:
    """Serve tools to an MCP client: say, draw, score, detect (docs/mcp.md). Needs the extra 'mcp'."""
    address = None if http is None else _address(http, token_file is not None)
    if token_file is not None and http is None:
        raise click.UsageError("--token-file is for --http")
    token = None if token_file is None else token_file.read_text().strip()
    if token == "":
        raise click.BadParameter("it is empty", param_hint="--token-file")
    try:
        from ancestral_integrations.mcp_tools import Tools
    except ImportError as error:
        raise click.ClickException(f"needs {error.name}: pip install './integrations[mcp]'") from error
    with click_errors(*FAILURES), ExitStack() as stack:
        if server := connected(url, api_key_file):
            tools = Tools(stack.enter_context(server), _REMOTE, folder, reads_paths=address is None)
        else:
            models = local_models()
            threading.Thread(target=_warm, args=(models,), daemon=True).start()
            tools = Tools(models, os.cpu_count() or 1, folder, reads_paths=address is None)
        if address is None:
            tools.server().run("stdio")
        else:
            _serve(tools.server(), *address, token)


def _warm(models: LocalModels) -> None:
    """Load what speaks by default: the first request need not wait for it as long. Its errors are those of requests."""
    with suppress(*FAILURES):
        models.model_that_speaks()


def _address(text: str, has_token: bool) -> tuple[str, int]:
    """Host and port.

    Raises:
        click.BadParameter: it is neither.
        click.UsageError: others can reach it, and it has no token.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        raise click.BadParameter(f"{text!r} is not like 127.0.0.1:8090", param_hint="--http")
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local and not has_token:
        raise click.UsageError(f"--http: others can reach {host}: --token-file is needed")
    return host, int(port)


def _serve(server: MCPServer[Any], host: str, port: int, token: str | None) -> None:
    """Serve HTTP until Ctrl-C or SIGTERM."""
    import uvicorn

    class Http(uvicorn.Server):
        """Ends with exit code 0 after a signal."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Have both signals end it."""
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            yield

    app = server.streamable_http_app(host=host)
    guarded = app if token is None else _guarded(app, token)
    click.echo(f"{address_of(host, port)}/mcp", err=True)
    Http(uvicorn.Config(guarded, host, port, log_level="warning", timeout_graceful_shutdown=5)).run()


def _guarded(app: Any, token: str) -> Any:
    """An ASGI application that answers only requests with the token."""
    from starlette.responses import JSONResponse

    expected = f"Bearer {token}".encode()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            sent = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(sent, expected):
                refusal = JSONResponse({"error": "a bearer token is needed"}, 401, {"www-authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded
