"""``ancestral keys``: create, list and revoke the API keys of a server."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from ancestral.command_line import click_errors

_FILE = click.option(
    "--file",
    "path",
    envvar="ANCESTRAL_API_KEYS_FILE",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of keys; ANCESTRAL_API_KEYS_FILE by default.",
)
_LIMIT = click.IntRange(1, 99_999)


@click.group(short_help="Create, list and revoke API keys.")
def command() -> None:
    """Create, list and revoke API keys. A running server picks changes up without a restart."""


@command.command()
@click.argument("name")
@_FILE
@click.option("--requests-per-minute", type=_LIMIT, help="The server's setting by default.")
@click.option("--concurrent-streams", type=_LIMIT, help="Unfinished jobs at a time; the server's setting by default.")
def create(name: str, path: Path, requests_per_minute: int | None, concurrent_streams: int | None) -> None:
    """Add a key called NAME and print it. It is not shown again: the file holds only its hash."""
    from ancestral_service.api.http.auth import NAME, NAME_RULE, KeysError, digest, new_key

    if not NAME.fullmatch(name):
        raise click.BadParameter(NAME_RULE, param_hint="NAME")
    key = new_key()
    line = _line(
        name, digest(key).hex(), requests_per_minute=requests_per_minute, concurrent_streams=concurrent_streams
    )

    def added(lines: list[str], names: set[str]) -> list[str]:
        if name in names:
            raise KeysError(f"{path}: {name} has a key already; revoke it first")
        return [*lines, line]

    with click_errors(KeysError, OSError):
        _rewrite(path, added, create=True)
    click.echo(key)
    click.echo(f"{path}: {name} added. The key is not shown again.", err=True)


@command.command("list")
@_FILE
def list_(path: Path) -> None:
    """List the names of the keys and their limits."""
    from ancestral_service.api.http.auth import KeysError, read_keys

    with click_errors(KeysError):
        callers = [entry.caller for entry in read_keys(path)]
    for caller in callers:
        limits = {"requests_per_minute": caller.requests_per_minute, "concurrent_streams": caller.concurrent_streams}
        click.echo(_line(caller.name, **limits))


@command.command()
@click.argument("name")
@_FILE
def revoke(name: str, path: Path) -> None:
    """Remove the key called NAME: requests with it are refused, and those in progress end, within seconds."""
    from ancestral_service.api.http.auth import KeysError, fields

    def removed(lines: list[str], names: set[str]) -> list[str]:
        if name not in names:
            raise KeysError(f"{path}: {name} has no key")
        return [line for line in lines if fields(line)[:1] != [name]]

    with click_errors(KeysError, OSError):
        _rewrite(path, removed)
    click.echo(f"{path}: {name} revoked.", err=True)


def _line(*words: str, **limits: int | None) -> str:
    return " ".join([*words, *(f"{field}={value}" for field, value in limits.items() if value is not None)])


def _rewrite(path: Path, change: Callable[[list[str], set[str]], list[str]], *, create: bool = False) -> None:
    """Replace the lines of a file by the result of ``change``, called with its lines and the names in them.

    The file is replaced atomically, so that a server never reads half of it, and under a lock. Owner and mode are
    preserved: the server may run as another user, who must be able to read the new file.

    Raises:
        KeysError: the file is not valid.
        OSError: it cannot be written.
    """
    from ancestral_service.api.http.auth import read_keys

    real = path.resolve()  # so that a symbolic link is not replaced by a file
    directory = os.open(real.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        new = create and not real.exists()
        names = set() if new else {entry.caller.name for entry in read_keys(real)}
        old = [] if new else real.read_text("utf-8").splitlines()
        text = "".join(f"{line}\n" for line in change(old, names))
        handle, temporary = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                if not new:
                    before = real.stat()
                    os.fchown(handle, before.st_uid, before.st_gid)
                    os.fchmod(handle, stat.S_IMODE(before.st_mode))
                file.flush()
                os.fsync(handle)
            os.replace(temporary, real)
        except BaseException:
            os.unlink(temporary)
            raise
        os.fsync(directory)
    finally:
        os.close(directory)
