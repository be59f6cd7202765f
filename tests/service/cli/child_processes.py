"""What several test files share."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 60.0
"""Far more than the second or two that anything here takes on an idle machine."""
CHILD = "import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {CHILD}"
HOLDER = "import os, time; os.write({}, b'held\\n'); time.sleep(600)"


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return sys.platform != "linux"
    except ProcessLookupError:
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def pids(output: Path) -> list[tuple[int, int]]:
    """Pid and supervisor's pid of every process that has run `CHILD` with this output.

    Python may print other lines there, when it is stopped while it exits.
    """
    text = output.read_text() if output.exists() else ""
    return [(int(child), int(parent)) for child, parent in re.findall(r"^(\d+) (\d+)\n", text, re.MULTILINE)]


def killed(line: list[str], environment: dict[str, str], parts: Path, count: int, number: int) -> int:
    """The exit code of a reader that gets a signal as soon as so many parts are finished."""
    process = subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(parts.glob("*.flac"))) < count:
        time.sleep(0.005)
    process.send_signal(number)
    return process.wait(60)
