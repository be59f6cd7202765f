"""Speaks a book's parts in this process: several at a time, on all cores, as a worker would."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from ancestral.models.scheduler import Chunk, End, Scheduler
from ancestral.service.cli.book.parts import Part
from ancestral.service.cli.book.speaker import Spoken
from ancestral.service.settings import Settings
from ancestral.service.speech import codecs
from ancestral.service.speech.decoder import AudioDecoder, Wave
from ancestral.service.speech.requests import prepare
from ancestral.service.worker.model_loader import LoadedModels

CHUNK_MS: Final = 200
"""Sound sampled between two decisions of the scheduler: nobody listens."""


class LocalSpeaker:
    """A model that is loaded here.

    Args:
        models: among them the one that speaks, and the lexicon of the deployment.
        settings: the number of threads.
        model_id: of the model.
        voice: one of its voices, or a mix; its first one if None.
        speed: above 1 is faster.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: it does not speak, or has no such voice.
    """

    def __init__(
        self, models: LoadedModels, settings: Settings, model_id: str, voice: str | None, speed: float
    ) -> None:
        model = models.speech_model(model_id, "speech")
        self._models = models
        self._threads = settings.threads
        self._speed = speed
        self._sampler = models.sound(model)
        self.model = model.entry.id
        self.model_sha256 = model.sha256
        self.voice = models.voice(model, voice or model.entry.voices[0].id).id
        self.sample_rate = model.spec.sample_rate

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        """See :class:`ancestral.service.cli.book.speaker.Speaker`."""
        scheduler = Scheduler(self._threads, chunk_ms=CHUNK_MS)
        finished: queue.SimpleQueue[Spoken | Exception] = queue.SimpleQueue()
        waiting, running = list(reversed(parts)), 0
        try:
            while waiting or running:
                while waiting and running < self._threads * self._sampler.engine.lanes:
                    self._begin(scheduler, waiting.pop(), finished)
                    running += 1
                spoken = finished.get()
                if isinstance(spoken, Exception):
                    raise spoken
                running -= 1
                yield spoken
        finally:
            scheduler.close()

    def _begin(self, scheduler: Scheduler, part: Part, finished: queue.SimpleQueue[Spoken | Exception]) -> None:
        payload = prepare(
            self._models, self.model, self.voice, part.text, part.seed,
            pronunciations=part.pronunciations, speed=self._speed,
        )  # fmt: skip
        decode, waves = AudioDecoder(self._sampler.model.spec), list[Wave]()

        def take(chunk: Chunk) -> None:
            if chunk.end is End.FAILED:
                finished.put(chunk.error or AssertionError("a slot failed without an error"))
                return
            if len(chunk.symbols):
                waves.append(decode(chunk.index, chunk.symbols))
            if chunk.end is End.COMPLETED:
                flac = codecs.encode_file([np.concatenate(waves)], "flac", self.sample_rate)
                finished.put(Spoken(part, flac, self._sampler.engine.name))

        slot = scheduler.open(self._sampler.engine, self.sample_rate, take, realtime=False)
        for sentence in self._sampler.parts(payload):
            slot.feed(self._sampler.open(sentence))
        slot.finish()
