"""Debian's speech-dispatcher with a home of its own, and a client of its protocol (SSIP) as screen readers have."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_CONFIGURATION = """\
LogLevel 3
AudioOutputMethod "alsa"
DefaultVolume 100
DefaultModule ancestral
SymbolsPreproc "char"
SymbolsPreprocFile "symbols.dic"
"""
_START_SECONDS = 120.0


class Client:
    """A client of speech-dispatcher that is told the events of its messages."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(address))
        self._lines = self._socket.makefile("rb")
        self._events: deque[list[str]] = deque()
        self.command("SET SELF CLIENT_NAME test:test:test")
        self.command("SET SELF NOTIFICATION ALL ON")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def command(self, line: str) -> list[str]:
        """Send a command. Returns the lines of the reply, of which the last one begins with its code and a space."""
        self._socket.sendall(f"{line}\r\n".encode())
        while (lines := self._reply())[-1].startswith("7"):
            self._events.append(lines)
        return lines

    def speak(self, text: str) -> str:
        """Have a text spoken; returns the id of the message."""
        self.command("SPEAK")
        return self.command(f"{text}\r\n.")[0][4:]

    def event(self) -> tuple[str, str]:
        """The next event: its name, and the id of its message."""
        lines = self._events.popleft() if self._events else self._reply()
        return lines[-1][4:], lines[0][4:]

    def ended(self) -> str:
        """Wait for the end of the message; returns which one it was: END, CANCELED or PAUSED."""
        while (found := self.event()[0]) in ("BEGIN", "INDEX MARK"):
            pass
        return found

    def _reply(self) -> list[str]:
        lines = [self._lines.readline().decode().rstrip("\r\n")]
        while lines[-1][3:4] == "-":
            lines.append(self._lines.readline().decode().rstrip("\r\n"))
        return lines


@contextmanager
def dispatcher(home: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Run speech-dispatcher for a user, until the block ends; yields the address of its socket.

    Args:
        home: of the user, with the module installed.
        environment: other variables.
    """
    settings = home / ".config/speech-dispatcher"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "speechd.conf").write_text(_CONFIGURATION)
    address = home / "speechd.sock"
    line = ["speech-dispatcher", "-s", "-t", "0", "-c", "unix_socket", "-S", str(address), "-P", str(home / "pid")]
    own = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), **environment}
    line += ["-L", str(home)]
    with subprocess.Popen(line, env={**os.environ, **own}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            _wait(lambda: address.exists() or run.poll() is not None)
            yield address
        finally:
            run.terminate()


def _wait(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            raise RuntimeError("speech-dispatcher does not start")
        time.sleep(0.05)
