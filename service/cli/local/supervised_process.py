"""A command under a supervisor (supervisor.py), which is itself restarted when somebody kills it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0
"""Pause before a supervisor is restarted."""


class SupervisedProcess:
    """A command that runs under a supervisor from its construction until :meth:`stop`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        grace_seconds: float,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        remove: Path | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Start the supervisor.

        Args:
            name: its name in the log.
            command: program and arguments.
            grace_seconds: between SIGTERM and SIGKILL when it is stopped.
            environment: of the command; this process's if absent.
            output: file for what the command prints; it inherits this process's output if absent.
            remove: directory of the command, to remove after it has stopped.
            descriptors: open files that the supervisor and the command inherit; they stay open until :meth:`stop`.
        """
        options = ["--name", name, "--grace", str(grace_seconds)]
        options += ["--output", str(output)] if output else []
        options += ["--remove", str(remove)] if remove else []
        self._name = name
        self._grace_seconds = grace_seconds
        self._arguments = [*options, "--", *command]
        self._environment = environment
        self._directory = remove
        self._descriptors = descriptors
        self._stopping = threading.Event()
        self._spawning = threading.Lock()
        self._supervisor = self._spawn()
        self._restarting = threading.Thread(target=self._restart, name=f"supervisor of {name}", daemon=True)
        self._restarting.start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self._directory is not None:
            self._directory.mkdir(mode=0o700, exist_ok=True)  # a supervisor that was stopped has removed it
        # In a session of its own, so that a terminal's Ctrl-C does not reach it and this process decides in which
        # order things stop. With -P the current directory is not searched for a package of the same name.
        return subprocess.Popen(  # noqa: S603 - nothing from outside
            [sys.executable, "-P", "-m", "ancestral.service.cli.local.supervisor", *self._arguments],
            stdin=subprocess.PIPE,
            env=self._environment,
            pass_fds=self._descriptors,
            start_new_session=True,
        )

    def _restart(self) -> None:
        """Restart the supervisor, which somebody has killed and its command with it, until :meth:`stop`."""
        while True:
            code = self._supervisor.wait()
            if self._stopping.wait(_PAUSE_SECONDS):
                return
            with self._spawning:
                if self._stopping.is_set():
                    return
                log.error("the supervisor of %s ended, restarting it", self._name, extra={"exit_code": code})
                assert self._supervisor.stdin is not None
                self._supervisor.stdin.close()
                self._supervisor = self._spawn()

    def stop(self) -> None:
        """Stop the command, then its supervisor. A second call does nothing."""
        with self._spawning:
            self._stopping.set()
            supervisor = self._supervisor
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        try:
            supervisor.wait(self._grace_seconds + 5)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        self._restarting.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
