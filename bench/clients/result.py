"""What a client of ``bench/clients/speak.py`` has got, and what it was to speak."""

from __future__ import annotations

import io
import json
import time
import wave
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

SENTENCES = ("Four hours of steady work faced us.", "The box was thrown beside the parked truck.")
TEXT = " ".join(SENTENCES)
KEY = "unused"
RATE = 24000


@dataclass
class Result:
    """What a client got."""

    package: str
    version: str = ""
    """Of the package; by default that of the Python package."""
    started: float = field(default_factory=time.perf_counter)
    first_audio: float | None = None
    """Seconds."""
    sound: bytearray = field(default_factory=bytearray)
    """16-bit PCM, or a file."""
    rate: int | None = RATE
    """In hertz; None if the sound is a file."""
    words: list[tuple[str, float]] = field(default_factory=list)
    clock: bool = False
    """Whether the starts of words are those of the client's own clock."""

    def add(self, data: bytes) -> None:
        """Some of the sound."""
        if self.first_audio is None:
            self.first_audio = time.perf_counter() - self.started
        self.sound += data

    def save(self, folder: Path, name: str) -> None:
        """Write sound and figures."""
        if self.rate is None:
            import soundfile

            samples, self.rate = soundfile.read(io.BytesIO(bytes(self.sound)), dtype="int16")
            self.sound = bytearray(samples.tobytes())
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(bytes(self.sound))
        figures = {
            "package": self.package,
            "version": self.version or version(self.package),
            "text": TEXT,
            "seconds": round(len(self.sound) / 2 / self.rate, 3),
            "first_audio": None if self.first_audio is None else round(self.first_audio, 3),
            "words": self.words,
            "clock": self.clock,
        }
        (folder / f"{name}.json").write_text(json.dumps(figures, indent=1))
