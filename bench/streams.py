"""How many can listen, and what the way through Redis costs: ``python -m bench.streams``.

A real server with the model that ships, and clients on real sockets. All figures are by the clock on the wall: run it
with nothing else. It takes about three minutes. The settings of the environment (``ANCESTRAL_…``) hold for the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.listeners import JITTER_SECONDS, MODEL, TEXTS, VOICES, Played, ask, fetch, free_port, nicely, play, serving
from bench.report import report
from bench.scrape import quantile
from service.settings import Settings
from service.speech import codecs
from service.speech.requests import prepare
from service.speech.sampler import render
from service.worker.model_loader import LoadedModels, load_models

LISTENERS = (2, 4, 6, 8, 10, 12)
LISTENING_SECONDS = 10.0
TURNS = 20
"""Repetitions of what one client does alone."""
SLOTS, QUEUE, EXTRA = 4, 2, 20
"""Of the server that is full, and requests that do not fit."""
SENTENCE = "The harbor was quiet before the first boats came in."


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    measurement: str
    settings: str
    count: int
    """Listeners at a time, or repetitions."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    silence_seconds: float | None = None
    """Of all listeners together, while their utterances were not over."""
    real_time_factor: float | None = None
    """Seconds of sound, of all streams together, made in a second."""
    refused: int | None = None


def common() -> str:
    """The settings that every server here has."""
    settings = Settings()
    return f"{settings.threads} threads, chunks of {settings.chunk_ms} ms"


def times(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile, in milliseconds."""
    p50, p95 = np.quantile(seconds, (0.5, 0.95))
    return round(1000 * float(p50), 1), round(1000 * float(p95), 1)


async def listen(port: int, number: int, delay: float, until: float) -> list[Played]:
    """One listener: an utterance after the other, as long as there is time for a new one."""
    await asyncio.sleep(delay)
    heard: list[Played] = []
    while time.monotonic() < until:
        turn = 100 * number + len(heard)
        heard.append(await play(port, TEXTS[turn % len(TEXTS)], turn))
    return heard


async def listen_together(port: int, count: int) -> Row:
    """So many listeners, who come within the first second."""
    start = time.monotonic()
    listeners = (listen(port, n, n / count, start + LISTENING_SECONDS) for n in range(count))
    heard = [played for one in await asyncio.gather(*listeners) for played in one]
    return Row(
        "listeners: first audio",
        f"{LISTENERS[-1]} slots, players' buffers {round(1000 * JITTER_SECONDS)} ms",
        count,
        *times([played.first_audio for played in heard]),
        silence_seconds=round(sum(played.silence for played in heard), 3),
        real_time_factor=round(sum(played.seconds for played in heard) / (time.monotonic() - start), 2),
    )


def more_and_more(port: int) -> list[Row]:
    """Ever more listeners, until two times in a row some of them heard silence."""
    rows: list[Row] = []
    for count in LISTENERS:
        rows.append(nicely(listen_together(port, count)))
        if len(rows) > 1 and all(row.silence_seconds for row in rows[-2:]):
            break
    return rows


async def over_http(port: int, seed: int, sample_rate: int) -> tuple[float, float]:
    """Seconds to the first sound and to the last, through the server."""
    start, first = time.perf_counter(), 0.0
    answer = await ask(port, SENTENCE, seed, sample_rate=sample_rate)
    async for _ in answer.pieces():
        first = first or time.perf_counter() - start
    answer.close()
    return first, time.perf_counter() - start


def in_process(loaded_models: LoadedModels, seed: int, sample_rate: int) -> tuple[float, float]:
    """The same work, done here."""
    start, first = time.perf_counter(), 0.0
    payload = prepare(loaded_models, MODEL, VOICES[seed % len(VOICES)], SENTENCE, seed)
    encoder = codecs.encoder("pcm", sample_rate, sample_rate)
    for wave in render(loaded_models.sound(loaded_models.speech_model(MODEL, "speech")), payload):
        if encoder.feed(wave):
            first = first or time.perf_counter() - start
    encoder.finish()
    return first, time.perf_counter() - start


def compare(port: int, loaded_models: LoadedModels) -> list[Row]:
    """What the road through HTTP and Redis adds for one client: the same sentences, in turns."""
    rate = loaded_models.speech_model(MODEL, "speech").spec.sample_rate
    in_process(loaded_models, 0, rate)
    asyncio.run(over_http(port, 0, rate))
    pairs = [(asyncio.run(over_http(port, n, rate)), in_process(loaded_models, n, rate)) for n in range(TURNS)]
    rows = []
    for place, what in enumerate(("first audio", "whole sentence")):
        there, here = [far[place] for far, _ in pairs], [near[place] for _, near in pairs]
        added = [far - near for far, near in zip(there, here, strict=True)]
        for road, seconds in (("over HTTP", there), ("in process", here), ("added by the road", added)):
            rows.append(Row(f"{what} {road}", "one client", TURNS, *times(seconds)))
    return rows


async def overload(port: int) -> Row:
    """Every slot and every place in the queue is taken, and more ask."""
    text = " ".join(TEXTS[:2])
    listeners = [asyncio.create_task(play(port, text, n)) for n in range(SLOTS + QUEUE)]
    await asyncio.sleep(1.5)
    refusals, statuses = [], []
    for number in range(EXTRA):
        start = time.perf_counter()
        answer = await ask(port, SENTENCE, number)
        answer.close()
        refusals.append(time.perf_counter() - start)
        statuses.append((answer.status, int(answer.headers.get("retry-after", "0")) > 0))
        await asyncio.sleep(0.1)
    heard = await asyncio.gather(*listeners)
    return Row(
        "one too many: the answer",
        f"{SLOTS} slots, queue of {QUEUE}, {SLOTS + QUEUE} listeners",
        EXTRA,
        *times(refusals),
        silence_seconds=round(sum(played.silence for played in heard), 3),
        refused=statuses.count((429, True)),
    )


async def hang_ups(port: int) -> list[tuple[float, float]]:
    """On a server with one slot: seconds from a reset to a request that is let in, and to its sound; many times."""
    rounds: list[tuple[float, float]] = []
    gone = None
    while len(rounds) < TURNS:
        asked = time.perf_counter()
        answer = await ask(port, " ".join(TEXTS), len(rounds))
        if answer.status == 200:
            await anext(answer.pieces())
            if gone is not None:
                rounds.append((asked - gone, time.perf_counter() - gone))
            await asyncio.sleep(0.3)
            gone = time.perf_counter()
        answer.close()
    return rounds


def room(port: int, worker_port: int) -> list[Row]:
    """How soon a listener who is gone makes room, as clients see it and as the worker says."""
    rounds, settings = nicely(hang_ups(port)), "1 slot, no queue"
    named = (("the next is let in", 0), ("the next one's first audio", 1))
    rows = [Row(f"gone until {what}", settings, TURNS, *times([r[place] for r in rounds])) for what, place in named]
    page = fetch(worker_port, "/metrics")[1]
    p50, p95 = (round(1000 * quantile(page, "ancestral_cancel_seconds", q), 1) for q in (0.5, 0.95))
    return [*rows, Row("slot held by one who is gone (/metrics)", settings, TURNS, p50, p95)]


def warm(port: int) -> None:
    """Have the server read whatever it reads on first use."""
    asyncio.run(over_http(port, 0, 16000))


def main() -> None:
    """Measure, print the table, print the JSON."""
    loaded_models = load_models(Settings(), lambda entry: entry.id == MODEL)
    with serving(interactive_slots=LISTENERS[-1]) as port:
        warm(port)
        rows = more_and_more(port) + compare(port, loaded_models)
    with serving(interactive_slots=SLOTS, max_queued_streams=QUEUE) as port:
        warm(port)
        rows.append(nicely(overload(port)))
    watched = free_port()
    with serving(interactive_slots=1, max_queued_streams=0, metrics_port=watched) as port:
        warm(port)
        rows += room(port, watched)
    report(f"Streams ({common()})", rows, {"settings": common()}, width=140)


if __name__ == "__main__":
    main()
