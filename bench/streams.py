"""Concurrent listeners, and the latency added by HTTP and Redis: ``python -m bench.streams``.

A real server with the bundled model, and clients on real sockets. All values are wall-clock times: run nothing else
meanwhile. It takes about three minutes. The server uses the settings of the environment (``ANCESTRAL_…``).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from ancestral import Model, codecs, load
from ancestral_service.settings import Settings
from bench import listeners
from bench.report import milliseconds, quantile, report

LISTENERS = (2, 4, 6, 8, 10, 12)
LISTENING_SECONDS = 10.0
REPETITIONS = 20
"""Repetitions of the measurements with one client."""
SLOTS, QUEUE, EXTRA = 4, 2, 20
"""Slots and queue of the server that is filled, and requests beyond that."""
SENTENCE = "The harbor was quiet before the first boats came in."


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    measurement: str
    settings: str
    count: int
    """Concurrent listeners, or repetitions."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    silence_seconds: float | None = None
    """Total underrun of all listeners before the end of their utterances."""
    real_time_factor: float | None = None
    """Seconds of audio per second, all streams together."""
    refused: int | None = None


def common() -> str:
    """The settings that all servers here share."""
    settings = Settings()
    return f"{settings.threads} threads, chunks of {settings.chunk_ms} ms"


async def listen(port: int, count: int) -> Row:
    """``count`` listeners, who start within the first second."""
    start = time.monotonic()
    heard = await listeners.listen_together(port, count, LISTENING_SECONDS)
    return Row(
        "listeners: first audio",
        f"{LISTENERS[-1]} slots, players' buffers {round(1000 * listeners.JITTER_SECONDS)} ms",
        count,
        *milliseconds([played.first_audio for played in heard]),
        silence_seconds=round(sum(played.silence for played in heard), 3),
        real_time_factor=round(sum(played.seconds for played in heard) / (time.monotonic() - start), 2),
    )


def increase_listeners(port: int) -> list[Row]:
    """More and more listeners, until there were underruns twice in a row."""
    rows: list[Row] = []
    for count in LISTENERS:
        rows.append(listeners.run_clients(listen(port, count)))
        if len(rows) > 1 and all(row.silence_seconds for row in rows[-2:]):
            break
    return rows


async def over_http(port: int, seed: int, sample_rate: int) -> tuple[float, float]:
    """Seconds to the first and to the last audio, through the server."""
    start, first = time.perf_counter(), 0.0
    response = await listeners.request_speech(port, SENTENCE, seed, sample_rate=sample_rate)
    async for _ in response.pieces():
        first = first or time.perf_counter() - start
    response.close()
    return first, time.perf_counter() - start


def in_process(model: Model, seed: int, sample_rate: int) -> tuple[float, float]:
    """The same, in this process."""
    start, first = time.perf_counter(), 0.0
    encoder = codecs.encoder("pcm", sample_rate)
    for wave in model.voice(listeners.VOICES[seed % len(listeners.VOICES)]).speak(SENTENCE, seed=seed):
        if encoder.feed(wave):
            first = first or time.perf_counter() - start
    encoder.finish()
    return first, time.perf_counter() - start


def compare(port: int, model: Model) -> list[Row]:
    """The latency that HTTP and Redis add for one client: the same sentences, alternating."""
    rate = model.voice().sample_rate
    in_process(model, 0, rate)
    asyncio.run(over_http(port, 0, rate))
    pairs = [(asyncio.run(over_http(port, n, rate)), in_process(model, n, rate)) for n in range(REPETITIONS)]
    rows = []
    for place, what in enumerate(("first audio", "whole sentence")):
        there, here = [far[place] for far, _ in pairs], [near[place] for _, near in pairs]
        added = [far - near for far, near in zip(there, here, strict=True)]
        for how, seconds in (("over HTTP", there), ("in process", here), ("added by HTTP and Redis", added)):
            rows.append(Row(f"{what} {how}", "one client", REPETITIONS, *milliseconds(seconds)))
    return rows


async def overload(port: int) -> Row:
    """Requests to a server whose slots and queue are full."""
    text = " ".join(listeners.TEXTS[:2])
    playing = [asyncio.create_task(listeners.play(port, text, n)) for n in range(SLOTS + QUEUE)]
    await asyncio.sleep(1.5)
    refusals, statuses = [], []
    for number in range(EXTRA):
        start = time.perf_counter()
        response = await listeners.request_speech(port, SENTENCE, number)
        response.close()
        refusals.append(time.perf_counter() - start)
        statuses.append((response.status, int(response.headers.get("retry-after", "0")) > 0))
        await asyncio.sleep(0.1)
    heard = await asyncio.gather(*playing)
    return Row(
        "rejection when full",
        f"{SLOTS} slots, queue of {QUEUE}, {SLOTS + QUEUE} listeners",
        EXTRA,
        *milliseconds(refusals),
        silence_seconds=round(sum(played.silence for played in heard), 3),
        refused=statuses.count((429, True)),
    )


async def disconnects(port: int) -> list[tuple[float, float]]:
    """On a server with one slot: seconds from a disconnect to the next admitted request, and to its first audio."""
    rounds: list[tuple[float, float]] = []
    left_at = None
    while len(rounds) < REPETITIONS:
        requested_at = time.perf_counter()
        response = await listeners.request_speech(port, " ".join(listeners.TEXTS), len(rounds))
        if response.status == 200:
            await anext(response.pieces())
            if left_at is not None:
                rounds.append((requested_at - left_at, time.perf_counter() - left_at))
            await asyncio.sleep(0.3)
            left_at = time.perf_counter()
        response.close()
    return rounds


def slot_release(port: int, worker_port: int) -> list[Row]:
    """How soon a slot is released after a disconnect, measured by clients and by the worker."""
    rounds, settings = listeners.run_clients(disconnects(port)), "1 slot, no queue"
    named = (("next request admitted", 0), ("first audio of the next request", 1))
    rows = [
        Row(f"disconnect: {what}", settings, REPETITIONS, *milliseconds([r[place] for r in rounds]))
        for what, place in named
    ]
    page = listeners.fetch(worker_port, "/metrics")[1]
    p50, p95 = (round(1000 * quantile(page, "ancestral_cancel_seconds", q), 1) for q in (0.5, 0.95))
    return [*rows, Row("slot released after disconnect (/metrics)", settings, REPETITIONS, p50, p95)]


def warm(port: int) -> None:
    """Send one request, so that the server has loaded what it loads on first use."""
    asyncio.run(over_http(port, 0, 16000))


def main() -> None:
    """Measure, then print the table and the JSON."""
    model = load(listeners.MODEL)
    with listeners.serving(interactive_slots=LISTENERS[-1]) as port:
        warm(port)
        rows = increase_listeners(port) + compare(port, model)
    with listeners.serving(interactive_slots=SLOTS, max_queued_streams=QUEUE) as port:
        warm(port)
        rows.append(listeners.run_clients(overload(port)))
    worker_port = listeners.free_port()
    with listeners.serving(interactive_slots=1, max_queued_streams=0, metrics_port=worker_port) as port:
        warm(port)
        rows += slot_release(port, worker_port)
    report(f"Streams ({common()})", rows, {"settings": common()}, width=140)


if __name__ == "__main__":
    main()
