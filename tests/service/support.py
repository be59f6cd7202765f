"""What the tests of the service share: a tiny model of random weights, and a real server on a real socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from models import checkpoint
from models.spec import FeatureSpec, FrameSpec, WaveNetSpec
from models.text import PHONEMES

VOICES = ("ann", "bob")
FRAMES_A_PHONEME = 2
SPEECH = {"model": "tiny", "input": "The birch canoe slid.", "voice": "ann", "response_format": "wav", "seed": 7}


def write_model(path: Path, fails_on: str | None = None) -> None:
    """A model directory with random weights, small enough to speak many times faster than real time.

    The duration of the phoneme that it fails on overflows.
    """
    rng = np.random.default_rng(1)
    channels = FeatureSpec().channels
    wavenet = WaveNetSpec(
        layers=4, stacks=2, residual_channels=8, gate_channels=16, skip_channels=16, head_channels=16, speakers=VOICES,
        global_channels=4, local_channels=channels, conditioner_channels=8, conditioner_layers=1,
    )  # fmt: skip
    frames = FrameSpec(
        phonemes=PHONEMES, speakers=VOICES, outputs=channels, channels=8, encoder_layers=1, decoder_layers=1,
        kernel_size=3, speaker_channels=4,
    )  # fmt: skip
    for name, spec in (("wavenet", wavenet), ("frames", frames)):
        shapes = checkpoint.expected_shapes(spec)
        tensors = {key: rng.normal(0.0, 0.3, shape).astype(np.float32) for key, shape in shapes.items()}
        if name == "frames":
            tensors["duration_out"] *= 0.0
            tensors["duration_bias"][:] = np.log1p(FRAMES_A_PHONEME)
            if fails_on is not None:
                tensors["phoneme"][PHONEMES.index(fails_on)] = 1e30
                tensors["duration_out"][:] = 1.0
        checkpoint.save(path / name, spec, tensors, card="Random weights, for tests.")
    voices = [
        {"id": v, "name": v.title(), "language": "en", "gender": "none", "description": "Noise.", "license": "CC0-1.0"}
        for v in VOICES
    ]
    manifest = {
        "id": path.name, "kind": "speech", "created": 1_700_000_000, "owned_by": "tests",
        "description": "Random weights.", "temperature": 1.0, "voices": voices,
    }  # fmt: skip
    (path / "model.json").write_text(json.dumps(manifest))


def command(*arguments: str) -> list[str]:
    """The command line of `ancestral`, as it was installed beside this Python."""
    return [str(Path(sys.executable).with_name("ancestral")), *arguments]


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    port: int
    log: list[dict[str, Any]]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60.0, **options)

    def speak(self, **changes: Any) -> httpx.Response:
        """POST the standard request, changed; a change to None takes the field out."""
        body = {key: value for key, value in (SPEECH | changes).items() if value is not None}
        return httpx.post(f"{self.url}/v1/audio/speech", json=body, timeout=60.0)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def running(environment: dict[str, str], *, until: str = "ready", **settings: str | int) -> Iterator[Server]:
    """Serve on a free port with these settings besides, until the block ends; enter it when `until` is logged."""
    own = {f"ANCESTRAL_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        command("serve", "--port", "0"),
        env=environment | own,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    log: list[dict[str, Any]] = []
    listening, ready = threading.Event(), threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            log.append(json.loads(line) if line.startswith("{") else {"message": line})
            if log[-1]["message"] == "listening":
                listening.set()
            elif log[-1]["message"] == until:
                ready.set()
        listening.set()
        ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert listening.wait(120), log
        assert ready.wait(120), log
        assert process.poll() is None, log
        port = next(line["port"] for line in log if line["message"] == "listening")
        yield Server(process, f"http://127.0.0.1:{port}", port, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=30)
        reader.join(timeout=30)
        assert process.stderr is not None
        process.stderr.close()
