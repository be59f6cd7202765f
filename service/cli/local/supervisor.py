"""What ``ancestral serve`` shows and runs: its banner, its sockets, and Valkey and the worker as children."""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import logging
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import click

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import ANY, ImageModel, Model
from ancestral.service.telemetry.logging import configure_logging

# Opens the socket that a process listens on, with an error message that says why it cannot.


class AddressError(OSError):
    """The address cannot be listened on; the message gives the reason."""


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; ``setting`` is the environment variable of the port.

    Raises:
        AddressError: the name is unknown, or the port is taken or forbidden.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        busy = f"; {setting} takes another" if error.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise AddressError(f"cannot listen on {host} port {port}: {error.strerror}{busy}") from error
    return listener


# What ``ancestral serve`` prints on a terminal once it is ready: where it is, what it serves, a request to copy.

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


def address_of(host: str, port: int) -> str:
    """The URL of a server that listens there, as its own machine reaches it."""
    host = _ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
    if isinstance(model, ImageModel):
        return f"pictures, {model.size} pixels"
    voices = ", ".join(voice.id for voice in model.entry.voices)
    return f"{'speech' if 'speech' in model.capabilities else 'sound without text'}, voices {voices}"


def _example(catalog: Catalog, url: str, *, keys: bool) -> list[str]:
    """A curl command for the first model."""
    model = next(iter(catalog.models.values()))
    if model.needs_upload:
        route = "portraits" if "image_portrait" in model.capabilities else "reconstructions"
        form = [f"  -F model={model.entry.id} -F image=@picture.png"]
        return [f"curl {shlex.quote(f'{url}/v1/images/{route}')} -o picture.json \\", *_key(keys=keys), *form]
    body: dict[str, object] = {"model": model.entry.id}
    if isinstance(model, ImageModel):
        body |= {"prompt": ANY} if model.spec.attributes else {}
        return _curl(f"{url}/v1/images/generations", body, "picture.json", keys=keys)
    body |= {"voice": model.entry.voices[0].id, "response_format": "wav"}
    if "speech" in model.capabilities:
        return _curl(f"{url}/v1/audio/speech", body | {"input": "Hello, world."}, "hello.wav", keys=keys)
    return _curl(f"{url}/v1/audio/generations", body | {"duration": 3}, "sound.wav", keys=keys)


def _curl(url: str, body: Mapping[str, object], output: str, *, keys: bool) -> list[str]:
    data = shlex.quote(json.dumps(body, separators=(",", ":")))
    return [
        f"curl {shlex.quote(url)} -o {output} -H 'content-type: application/json' \\",
        *_key(keys=keys),
        f"  -d {data}",
    ]


def _key(*, keys: bool) -> list[str]:
    return ['  -H "authorization: Bearer $KEY" \\'] if keys else []


# Runs a command, restarts it when it exits, and stops it when the parent ends.
#
# ``python -m ancestral.service.cli.local.supervisor … -- COMMAND``. The parent holds the other end of this process's
# standard input. When that end closes, because the parent stopped or was killed, the supervisor stops the command and
# exits; so it does on SIGTERM. The command inherits every descriptor that the supervisor was given.
#
# A supervisor runs beside a server all the time, so it loads the standard library only.

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds before a restart: doubled each time, reset after the command has run for ``STEADY_SECONDS``."""
STEADY_SECONDS = 10.0
OUTPUT_BYTES = 1 << 20
"""A larger output file is emptied before the next restart."""

_PR_SET_PDEATHSIG = 1
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

log = logging.getLogger("ancestral.service.cli.local.supervisor")


def _die_with_parent() -> Callable[[], None] | None:
    """What the child calls before exec, so that the kernel kills it when the supervisor ends. Linux only."""
    if sys.platform != "linux":
        return None
    prctl, supervisor = ctypes.CDLL(None).prctl, os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != supervisor:  # the supervisor ended before the call took effect
            os.kill(os.getpid(), signal.SIGKILL)

    return set_death_signal


class Supervisor:
    """One command and its current process."""

    def __init__(self, name: str, command: list[str], grace_seconds: float, output: Path | None) -> None:
        self._name = name
        self._command = command
        self._grace_seconds = grace_seconds
        self._output = output
        self._preexec = _die_with_parent()
        self._stopping = False
        self._signals, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # without a handler the number would not be written to the pipe

    def run(self) -> None:
        """Run the command, and restart it whenever it exits, until asked to stop."""
        pause = SHORTEST_PAUSE
        while not self._stopping:
            began = time.monotonic()
            ended = self._run_once()
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = SHORTEST_PAUSE
            if not self._stopping:
                log.error("%s ended, restarting it", self._name, extra={**ended, "pause_seconds": pause})
            self._wait(pause, lambda: False)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _run_once(self) -> dict[str, object]:
        """Run the command until it exits or has been stopped; return how it ended, for the log."""
        try:
            child = self._start()
        except OSError as error:
            return {"error": str(error)}

        def exited() -> bool:
            return child.poll() is not None

        while not exited() and not self._stopping:
            self._wait(None, exited)
        if not exited():
            child.terminate()
            self._wait(self._grace_seconds, exited, until_stop=False)
        with suppress(ProcessLookupError, PermissionError):  # the command, if it ignores SIGTERM, and its children
            os.killpg(child.pid, signal.SIGKILL)
        return {"exit_code": child.wait()}

    def _start(self) -> subprocess.Popen[bytes]:
        output: IO[bytes] | None = None
        if self._output is not None:
            output = self._output.open("ab")
            if output.tell() > OUTPUT_BYTES:
                output.truncate(0)
        try:
            return subprocess.Popen(  # noqa: S603 - the command line is the parent's
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                close_fds=False,
                process_group=0,
                preexec_fn=self._preexec,
            )
        finally:
            if output is not None:
                output.close()

    def _wait(self, seconds: float | None, done: Callable[[], bool], *, until_stop: bool = True) -> None:
        """Wait until ``done()``, for at most ``seconds``, and not beyond a request to stop if ``until_stop``."""
        until = None if seconds is None else time.monotonic() + seconds
        while not (until_stop and self._stopping) and not done():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            watched = [self._signals] if self._stopping else [self._signals, sys.stdin]
            ready, _, _ = select.select(watched, [], [], left)
            if self._signals in ready:
                self._stopping |= not _STOP_SIGNALS.isdisjoint(os.read(self._signals, 4096))
            if sys.stdin in ready:
                self._stopping = True


def main() -> None:
    """Supervise a command until standard input closes or a signal arrives."""
    parser = argparse.ArgumentParser(
        prog="python -m ancestral.service.cli.local.supervisor",
        description="Run a command and restart it when it exits.",
    )
    parser.add_argument("--name", required=True, help="its name in the log")
    parser.add_argument("--grace", type=float, required=True, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--output", type=Path, help="append what the command prints to this file")
    parser.add_argument("--remove", type=Path, help="directory to remove at the end")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    configure_logging("error", os.environ.get("ANCESTRAL_LOG_FORMAT", "auto"))  # checked by the parent's settings
    try:
        Supervisor(arguments.name, arguments.command, arguments.grace, arguments.output).run()
    finally:
        if arguments.remove is not None:
            shutil.rmtree(arguments.remove, ignore_errors=True)


if __name__ == "__main__":
    main()
