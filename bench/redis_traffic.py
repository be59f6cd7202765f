"""What one second of listening costs Redis and an API process: ``python -m bench.redis_traffic [listeners]``.

A real Valkey, a real API process, listeners in real time, and a real worker that samples nothing and makes the frames
of a sentence once: it only waits as long as sampling takes, so that hundreds of listeners fit on a small machine and
the worker's rhythm is the real one (``ANCESTRAL_CHUNK_MS=200`` spares it some of that).
What an idle deployment costs is measured first and subtracted. Commands are counted as Redis counts them: those inside
scripts are included. It takes about a minute and a half.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis

from ancestral.models.engines.speech.engine import SynthesisEngine
from ancestral.models.text.acoustic import AcousticModel
from ancestral.service.cli.local.embedded import EmbeddedRedis
from ancestral.service.cli.main import main as ancestral
from bench.listeners import MODEL, TEXTS, cpu_seconds, free_port, listen_together, play, run_clients, running
from bench.report import milliseconds, report

LISTENERS = 16
LISTENING_SECONDS = 24.0
IDLE_SECONDS = 6.0
SAMPLING_SPEED = 15.0
"""Seconds of sound that a waiting thread 'samples' in a second."""
SAMPLING_THREADS = 8
SNAPSHOT_BYTES = 971
UTTERANCES = {"5 s": TEXTS, "20 s": tuple(f"{TEXTS[n]} {' '.join(TEXTS[:n] + TEXTS[n + 1 :])}" for n in range(2))}
"""Texts of utterances, by their approximate length."""


@dataclass(frozen=True)
class Row:
    """The cost of one second of listening."""

    utterances: str
    listeners: int
    commands: float
    kilobytes_in: float
    kilobytes_out: float
    redis_core: float
    api_core: float
    worker_core: float
    first_audio_p50_ms: float
    first_audio_p95_ms: float
    silence_seconds: float


@dataclass
class SilentStream:
    """A stream of silence."""

    request: Any
    position: int = 0


def silent_worker() -> None:
    """Run a worker whose engine takes its time and samples silence."""

    def step(self: SynthesisEngine, streams: Sequence[Any], samples: int) -> list[Any]:
        counts = [min(samples, stream.request.length - stream.position) for stream in streams]
        time.sleep(max(counts) / self.network.spec.sample_rate / SAMPLING_SPEED)
        for stream, count in zip(streams, counts, strict=True):
            stream.position += count
        return [np.zeros(count, np.int16) for count in counts]

    def once(method: Callable[..., Any]) -> Callable[..., Any]:
        found: dict[str, Any] = {}

        def call(self: AcousticModel, sentence: Any, speaker: Any, *more: Any) -> Any:
            key = repr((sentence.phones, speaker))
            if key not in found:
                found[key] = method(self, sentence, speaker, *more)
            return found[key]

        return call

    engine: Any = SynthesisEngine
    engine.open, engine.step = lambda _, request: SilentStream(request), step
    engine.snapshot = lambda *_: bytes(SNAPSHOT_BYTES)
    engine.restore = lambda _, request, __: SilentStream(request)
    model: Any = AcousticModel
    model.predict_with_timing, model.timing = once(model.predict_with_timing), once(model.timing)
    sys.argv[1:] = ["worker"]
    ancestral()


@contextmanager
def deployment(url: str, listeners: int, directory: Path) -> Iterator[tuple[int, dict[str, int]]]:
    """An API process and a silent worker on this Redis, with the models in ``directory``: the port, and process ids."""
    port, program = free_port(), str(Path(sys.executable).with_name("ancestral"))
    commands = [program, "serve", "--no-worker"], [sys.executable, "-m", "bench.redis_traffic", "--worker"]
    slots = {"interactive_slots": listeners + 4, "batch_slots": 1, "threads": SAMPLING_THREADS}
    with running(port, commands, redis_url=url, models_dir=directory, **slots) as (api, worker):
        yield port, {"api": api.pid, "worker": worker.pid}


def counters(client: redis.Redis, pids: dict[str, int]) -> Counter[str]:
    """What has been spent so far."""
    info: Any = client.info()
    found = {name: info[f"total_{name}"] for name in ("commands_processed", "net_input_bytes", "net_output_bytes")}
    found |= {name: cpu_seconds(pid) for name, pid in (pids | {"redis": info["process_id"]}).items()}
    commands: Any = client.info("commandstats")
    found |= {name: figures["calls"] for name, figures in commands.items()}
    return Counter({**found, "time": time.monotonic()})


def measure(port: int, client: redis.Redis, pids: dict[str, int], utterances: str, listeners: int) -> Row:
    """Listen, and divide what it cost by the seconds of sound that were heard."""
    texts = UTTERANCES[utterances]
    run_clients(play(port, texts[0], 0))
    before = counters(client, pids)
    time.sleep(IDLE_SECONDS)
    idle = counters(client, pids)
    heard = run_clients(listen_together(port, listeners, LISTENING_SECONDS, texts, within=4.0))
    after = counters(client, pids)
    seconds = sum(played.seconds for played in heard)

    def each(name: str) -> float:
        idling = (idle[name] - before[name]) / (idle["time"] - before["time"])
        return float(after[name] - idle[name] - idling * (after["time"] - idle["time"])) / seconds

    busiest = sorted(((each(name), name) for name in after if name.startswith("cmdstat_")), reverse=True)
    print(utterances, *(f"{name.removeprefix('cmdstat_')} {count:.2f}" for count, name in busiest[:24]), sep=" · ")
    first = milliseconds([played.first_audio for played in heard])
    return Row(
        utterances,
        listeners,
        round(each("commands_processed"), 1),
        round(each("net_input_bytes") / 1000, 1),
        round(each("net_output_bytes") / 1000, 1),
        round(each("redis"), 5),
        round(each("api"), 5),
        round(each("worker"), 5),
        *first,
        round(sum(played.silence for played in heard), 2),
    )


def main() -> None:
    """Measure short and long utterances."""
    listeners = int(sys.argv[1]) if len(sys.argv) > 1 else LISTENERS
    with tempfile.TemporaryDirectory(prefix="anc-") as data, EmbeddedRedis(Path(data)) as valkey:
        directory = Path(data, "models")
        directory.mkdir()
        (directory / MODEL).symlink_to(Path("models", "zoo", MODEL).absolute())
        with redis.Redis.from_url(valkey.url) as client, deployment(valkey.url, listeners, directory) as (port, pids):
            rows = [measure(port, client, pids, utterances, listeners) for utterances in UTTERANCES]
    report("One second of listening", rows, {}, 200)


if __name__ == "__main__":
    silent_worker() if "--worker" in sys.argv else main()
