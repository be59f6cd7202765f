"""Who speaks a book for ``ancestral read``: this process, or a server."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Final

from ancestral.client.server import Server
from ancestral.errors import NotFound, ServerError
from ancestral.model import Model
from ancestral.service.books.parts import Part
from ancestral.service.books.reading import Reading, Spoken, default_voice


class LocalSpeaker:
    """A model that is loaded here.

    Args:
        model: that speaks.
        reading: how it speaks.
        threads: that sample.

    Raises:
        InvalidRequest: it does not speak, or has no such voice.
    """

    def __init__(self, model: Model, reading: Reading, threads: int) -> None:
        model.description.require("speech")
        voices = model.description.entry.voices
        self._voice = model.voice(reading.voice or default_voice(voices, reading.language))
        self._reading, self._threads = reading, threads
        self.model, self.model_sha256 = model.id, model.description.sha256
        self.voice, self.sample_rate = self._voice.id, model.speech_sampler.model.sound_rate
        self.cast = cache(partial(self._voice.cast, reading.voices))
        self.cast(None)  # names are checked before the text is

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        utterances = (
            self._voice.utterance(
                part.text,
                seed=part.seed,
                pronunciations=part.pronunciations,
                speed=self._reading.speed,
                voices=self._reading.voices,
                language=part.language,
            )
            for part in parts
        )
        for number, speech in self._voice.speak_many(utterances, self._threads):
            flac = speech.encode("flac", self.sample_rate)
            words = [
                (*word.span, round(word.start * self.sample_rate), round(word.end * self.sample_rate))
                for word in speech.words
            ]
            yield Spoken(parts[number], flac, words, self._voice.engine)


PARALLEL: Final = 4
"""Jobs at a time: a server samples as many as it has batch slots, and the next ones wait in its queue."""


class RemoteSpeaker:
    """A voice of a model of a server.

    Args:
        server: that speaks.
        model_id: an id or an alias; the first model that has the voice if None.
        reading: how it speaks.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: it cannot speak, or there is no such voice.
        ServerError: the server does not answer.
    """

    def __init__(self, server: Server, model_id: str | None, reading: Reading) -> None:
        self._server, self._reading = server, reading
        model = server.model_that_speaks(reading.voice) if model_id is None else server.load(model_id)
        self._voice = model.voice(reading.voice or default_voice(model.described_voices, reading.language))
        self.model, self.voice = model.id, self._voice.id
        self.model_sha256: str = model.description["sha256"]
        self.sample_rate: int = model.description["default_sample_rate"]
        self.cast = cache(partial(self._voice.cast, reading.voices))
        self.cast(None)  # names are checked before the text is

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
        finished: queue.SimpleQueue[Spoken | Exception] = queue.SimpleQueue()
        for part in parts:
            waiting.put(part)
        for _ in range(PARALLEL):  # daemons, so that Ctrl-C need not wait for the server
            threading.Thread(target=self._work, args=(waiting, finished), daemon=True).start()
        try:
            for _ in parts:
                spoken = finished.get()
                if isinstance(spoken, Exception):
                    raise spoken
                yield spoken
        finally:
            self._server.connection.closed.set()

    def _work(self, waiting: queue.SimpleQueue[Part], finished: queue.SimpleQueue[Spoken | Exception]) -> None:
        while not self._server.connection.closed.is_set():
            try:
                finished.put(self._speak(waiting.get_nowait()))
            except queue.Empty:
                return
            except Exception as error:  # noqa: BLE001 - raised where the parts are awaited
                finished.put(error)
                return

    def _speak(self, part: Part) -> Spoken:
        body = {
            "model": self.model, "voice": self.voice, "input": part.text, "pronunciations": dict(part.pronunciations),
            "seed": part.seed, "speed": self._reading.speed, "response_format": "flac",
            "sample_rate": self.sample_rate, "voices": dict(self._reading.voices), "language": part.language,
        }  # fmt: skip
        connection = self._server.connection
        while not connection.closed.is_set():
            # With the key a part that was in progress when this program ended, or the connection, is found again.
            job = connection.submit("/v1/audio/speech", body, part.name)
            try:
                flac, headers = connection.output(job)
                times = connection.get(f"/v1/jobs/{job}/timestamps")
                rate = self.sample_rate / times["sample_rate"]
                words = [
                    (word["text_start"], word["text_end"], round(word["start"] * rate), round(word["end"] * rate))
                    for word in times["words"]
                ]
            except NotFound:  # it has expired, or somebody has deleted it
                continue
            with suppress(NotFound):  # the first attempt may have succeeded without an answer
                connection.request("DELETE", f"/v1/jobs/{job}")
            return Spoken(part, flac, words, headers["x-engine"])
        raise ServerError(f"{self._server.url}: interrupted")
