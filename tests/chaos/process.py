"""What several test files share."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.service.servers import command

SECONDS = 120.0
"""Generous: nothing that is waited for takes more than a few seconds on a quiet machine."""


def eventually(true: Callable[[], Any], seconds: float = SECONDS) -> float:
    """Wait until it is true; how long that took, in seconds."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds
        time.sleep(0.02)
    return time.monotonic() - start


class Process:
    """A worker, and what it has said."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.log: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            command("worker"), env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line) if line.startswith("{") else {"message": line})

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self, message: str) -> list[dict[str, Any]]:
        """Lines of its log."""
        return [line for line in self.log if line["message"] == message]

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """It is gone at once."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        """Stop it, if it runs; its exit code."""
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        code = self.process.wait(60)
        self._reader.join(60)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code
