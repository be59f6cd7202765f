"""Keep one process running for as long as its parent lives: ``python -m service.cli.local.supervisor … -- COMMAND``.

The parent holds the other end of the supervisor's standard input. When that end closes, because the parent is done or
was killed, the supervisor stops the process and exits; SIGTERM does the same. A process that ends by itself is started
again. Every descriptor that a supervisor was given is handed on to the process.

A supervisor runs beside a server all the time, so it loads the standard library only.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from service.telemetry import logging as logs

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between an end and the next start: doubled each time, short again after a life of ``STEADY_SECONDS``."""
STEADY_SECONDS = 10.0
OUTPUT_BYTES = 1 << 20
"""An output file that has grown beyond this is emptied before the next start."""

_PR_SET_PDEATHSIG = 1
_STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

log = logging.getLogger("service.cli.local.supervisor")


def _tie() -> Callable[[], None] | None:
    """What a child does before it becomes the command, so that the kernel kills it when this process ends."""
    if sys.platform != "linux":
        return None
    prctl, supervisor = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != supervisor:  # it ended before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


class Supervisor:
    """One command line, its present process, and what is heard of both sides."""

    def __init__(self, name: str, command: list[str], grace_seconds: float, output: Path | None) -> None:
        self._name = name
        self._command = command
        self._grace_seconds = grace_seconds
        self._output = output
        self._tie = _tie()
        self._told = False
        self._heard, heard = os.pipe()
        os.set_blocking(heard, False)
        signal.set_wakeup_fd(heard, warn_on_full_buffer=False)
        for number in (*_STOPPING, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # with a handler, the number is written to the pipe

    def keep(self) -> None:
        """Run the command again and again until told to stop."""
        pause = SHORTEST_PAUSE
        while not self._told:
            began = time.monotonic()
            ended = self._live()
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = SHORTEST_PAUSE
            if not self._told:
                log.error("%s ended, starting it again", self._name, extra={**ended, "pause_seconds": pause})
            self._listen(pause, lambda: False)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _live(self) -> dict[str, object]:
        """Run the command once, to its end or until told to stop; gives what is known of the end."""
        try:
            child = self._start()
        except OSError as error:
            return {"error": str(error)}

        def gone() -> bool:
            return child.poll() is not None

        while not gone() and not self._told:
            self._listen(None, gone)
        if not gone():
            child.terminate()
            self._listen(self._grace_seconds, gone, deaf=True)
        with suppress(ProcessLookupError, PermissionError):  # what it left behind in its group, or the whole group
            os.killpg(child.pid, signal.SIGKILL)
        return {"exit_code": child.wait()}

    def _start(self) -> subprocess.Popen[bytes]:
        output: IO[bytes] | None = None
        if self._output is not None:
            output = self._output.open("ab")
            if output.tell() > OUTPUT_BYTES:
                output.truncate(0)
        try:
            return subprocess.Popen(  # noqa: S603 - the command line is our parent's
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                close_fds=False,
                process_group=0,
                preexec_fn=self._tie,
            )
        finally:
            if output is not None:
                output.close()

    def _listen(self, seconds: float | None, enough: Callable[[], bool], *, deaf: bool = False) -> None:
        """Wait until told to stop (unless deaf to that), until it is enough, or until the time is over."""
        until = None if seconds is None else time.monotonic() + seconds
        while (deaf or not self._told) and not enough():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            ready, _, _ = select.select([self._heard] if self._told else [self._heard, sys.stdin], [], [], left)
            if self._heard in ready:
                self._told |= not _STOPPING.isdisjoint(os.read(self._heard, 4096))
            if sys.stdin in ready:
                self._told = True


def main() -> None:
    """Keep a command until standard input ends or a signal comes."""
    parser = argparse.ArgumentParser(
        prog="python -m service.cli.local.supervisor", description="Keep a process running."
    )
    parser.add_argument("--name", required=True, help="what the log calls it")
    parser.add_argument("--grace", type=float, required=True, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--output", type=Path, help="append what the process prints to this file")
    parser.add_argument("--remove", type=Path, help="directory to remove at the end")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    logs.configure("error")
    try:
        Supervisor(arguments.name, arguments.command, arguments.grace, arguments.output).keep()
    finally:
        if arguments.remove is not None:
            shutil.rmtree(arguments.remove, ignore_errors=True)


if __name__ == "__main__":
    main()
