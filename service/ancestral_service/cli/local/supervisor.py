"""The sockets of ``ancestral serve``, and the program under which it runs Valkey and the worker."""

from __future__ import annotations

import argparse
import ctypes
import errno
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from ancestral_service.telemetry.logging import configure_logging

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


# Runs a command, restarts it when it exits, and stops it when the parent ends.
#
# ``python -m ancestral_service.cli.local.supervisor … -- COMMAND``. The parent holds the other end of this process's
# standard input. When that end closes, because the parent stopped or was killed, the supervisor stops the command and
# exits; so it does on SIGTERM. The command inherits every descriptor that the supervisor was given.
#
# A supervisor runs beside a server all the time, so it loads little more than the standard library.

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds before a restart: doubled each time, reset after the command has run for ``STEADY_SECONDS``."""
STEADY_SECONDS = 10.0
OUTPUT_BYTES = 1 << 20
"""A larger output file is emptied before the next restart."""

_PR_SET_PDEATHSIG = 1
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

log = logging.getLogger("ancestral_service.cli.local.supervisor")


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
        prog="python -m ancestral_service.cli.local.supervisor",
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
