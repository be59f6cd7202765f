"""How soon speech-dispatcher is heard, and falls silent: ``python -m bench.speech_dispatcher``.

The real speech-dispatcher with the module that ``ancestral speech-dispatcher --install`` has installed, and a client of
its protocol (SSIP) as screen readers have. PulseAudio's null sink is the sound device, which plays in real time; what
it plays is recorded, and the times are those at which the record changes. Needs speech-dispatcher and pulseaudio. All
values are wall-clock times: run nothing else meanwhile.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.report import Target, report, show

ROUNDS = 20
FIRST_MS, STOP_MS = 60.0, 20.0
RATE = 16000
_LONG = "The harbor was quiet before the first boats came in, and a gull sat on the rail and watched the water."
TEXTS = {"OK button": "OK, button.", "a sentence": "The birch canoe slid on the smooth planks.", "a long one": _LONG}
_CONFIGURATION = """\
LogLevel 3
AudioOutputMethod "{method}"
AudioPulseMinLength 10
DefaultVolume 100
DefaultModule ancestral
SymbolsPreproc "char"
SymbolsPreprocFile "symbols.dic"
"""
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Delay:
    """Milliseconds."""

    measurement: str
    count: int
    p50_ms: float
    p95_ms: float


class Client:
    """A client of speech-dispatcher that is told the events of its messages."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(address))
        self._lines = self._socket.makefile("rb")
        self._events: deque[list[str]] = deque()
        self.command("SET SELF CLIENT_NAME bench:bench:bench")
        self.command("SET SELF NOTIFICATION ALL ON")

    def __enter__(self) -> Client:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
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
def dispatcher(home: Path, method: str, environment: Mapping[str, str]) -> Iterator[Path]:
    """Run speech-dispatcher for a user, until the block ends; yields the address of its socket.

    Args:
        home: of the user, with the module installed.
        method: of audio output: pulse, alsa.
        environment: other variables.
    """
    settings = home / ".config/speech-dispatcher"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "speechd.conf").write_text(_CONFIGURATION.format(method=method))
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
            raise RuntimeError("speech-dispatcher or pulseaudio does not start")
        time.sleep(0.05)


class Record:
    """What a sound device plays."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        line = ["parec", "--device=null.monitor", "--latency-msec=2", "--raw", "--format=s16le", "--channels=1"]
        line.append(f"--rate={RATE}")
        self._process = subprocess.Popen(line, env={**os.environ, **environment}, stdout=subprocess.PIPE)
        self._loud: list[float] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            now, sound = time.perf_counter(), np.frombuffer(data[: len(data) // 2 * 2], "<i2")
            if np.abs(sound.astype(np.int32)).max(initial=0) > 8:
                self._loud.append(now)

    def first_after(self, moment: float) -> float:
        """When sound is first heard after a moment."""
        _wait(lambda: bool(self._loud) and self._loud[-1] > moment)
        return next(heard for heard in self._loud if heard > moment)

    def last(self, quiet_seconds: float = 0.4) -> float:
        """When sound was last heard, once it has been quiet for so long."""
        _wait(lambda: bool(self._loud) and time.perf_counter() - self._loud[-1] > quiet_seconds)
        return self._loud[-1]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def sound_device(home: Path) -> Iterator[dict[str, str]]:
    """PulseAudio with a device that nobody hears, until the block ends; yields the variables of its clients."""
    address = home / "pulse.sock"
    line = ["pulseaudio", "-n", "--exit-idle-time=-1", "--daemonize=no"]
    line += ["-L", f"module-native-protocol-unix socket={address} auth-anonymous=1"]
    line += ["-L", f"module-null-sink sink_name=null rate={RATE} channels=1"]
    own = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    with subprocess.Popen(line, env=own, stderr=subprocess.DEVNULL) as run:
        try:
            _wait(lambda: address.exists() or run.poll() is not None)
            yield {"PULSE_SERVER": f"unix:{address}", "PULSE_SINK": "null"}
        finally:
            run.terminate()


def main() -> None:
    """Print the table, and which targets were met."""
    for program in ("speech-dispatcher", "pulseaudio", "parec"):
        if shutil.which(program) is None:
            sys.exit(f"needs {program} (Debian: apt-get install speech-dispatcher pulseaudio pulseaudio-utils)")
    ancestral = str(Path(sys.executable).with_name("ancestral"))
    with tempfile.TemporaryDirectory(prefix="anc-") as folder:
        home = Path(folder)
        install = [ancestral, "speech-dispatcher", "--install", *sys.argv[1:]]
        subprocess.run(install, env={**os.environ, "HOME": folder}, check=True)
        with sound_device(home) as environment, dispatcher(home, "pulse", environment) as address:
            record = Record(environment)
            try:
                rows = _measure(address, record)
            finally:
                record.close()
    report("speech-dispatcher", rows)
    limits = [STOP_MS if row.measurement.startswith("silent") else FIRST_MS for row in rows]
    fits = [
        Target(row.measurement, f"<= {limit:g} ms", row.p50_ms, row.p50_ms <= limit)
        for row, limit in zip(rows, limits, strict=True)
    ]
    show("Targets, medians", fits, 100)


def _measure(address: Path, record: Record) -> list[Delay]:
    with Client(address) as client, Client(address) as other:
        client.speak("Ready.")
        client.ended()
        rows = [
            _delay(f"first sound of {name}", [_first(client, record, text) for _ in range(ROUNDS)])
            for name, text in TEXTS.items()
        ]
        stops = [_stop(client, other, record) for _ in range(ROUNDS)]
    return [*rows, _delay("silent after STOP", stops)]


def _first(client: Client, record: Record, text: str) -> float:
    began = time.perf_counter()
    client.speak(text)
    heard = record.first_after(began)
    client.ended()
    record.last()
    return 1000 * (heard - began)


def _stop(client: Client, other: Client, record: Record) -> float:
    began = time.perf_counter()
    client.speak(_LONG)
    record.first_after(record.first_after(began) + 0.5)
    asked = time.perf_counter()
    other.command("STOP ALL")
    client.ended()
    return 1000 * max(0.0, record.last() - asked)


def _delay(measurement: str, found: list[float]) -> Delay:
    p50, p95 = (round(float(np.percentile(found, share)), 1) for share in (50, 95))
    return Delay(measurement, len(found), p50, p95)


if __name__ == "__main__":
    main()
