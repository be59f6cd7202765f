"""A job of sound on its way to a client: its symbols decoded and encoded, as bytes or as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from ancestral import codecs, formats
from ancestral.catalog.descriptions import SpeechModel
from ancestral.codecs import Wave
from ancestral.errors import NotFound
from ancestral.requests import Timestamps
from ancestral.speech.sampler import AudioDecoder
from ancestral.speech.timestamps import SentenceTimes, times_of
from ancestral.speech.utterance import SoundPlan
from ancestral.speech.voice import SoundEncoder, tags_of
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.job import Job
from ancestral_service.jobs.job_reader import JobReader, check_end, event, redis_errors
from ancestral_service.jobs.state import AppState
from ancestral_service.speech import schemas
from ancestral_service.speech.timeline import POLL_SECONDS, Timeline

ACKNOWLEDGE_SECONDS = 0.25
"""Sound between two reports of reading."""
RECORD_SECONDS = 2.0
"""Interval of the reports that are stored, too, for a worker that takes over."""


class AudioReader(JobReader):
    """One client that takes the sound while it is sampled."""

    plan: SoundPlan

    def __init__(self, broker: Clients, job: Job, plan: SoundPlan, model: SpeechModel) -> None:
        super().__init__(broker, job, plan)
        self.model = model
        self._acknowledged = 0
        self._recorded_at = -math.inf
        self._worker = ""
        """The worker that ran the job then."""
        self.streams = 0
        """How many streams (sentences) have begun."""

    async def waves(self) -> AsyncIterator[tuple[int, Wave]]:
        """The sound, chunk by chunk, ``float32 [T]``, each with the number of its sentence; raises as
        :meth:`JobReader.symbols` does."""
        decode = AudioDecoder(self.model.spec, self.plan.deemphasis_state)
        async for index, symbols in self.symbols():
            self.streams = index + 1
            yield index, decode(index, symbols)

    async def _acknowledge(self) -> None:
        if not self.job.paced or self.samples - self._acknowledged < ACKNOWLEDGE_SECONDS * self.model.spec.sample_rate:
            return
        self._acknowledged = self.samples
        is_recent = self._worker and time.monotonic() - self._recorded_at < RECORD_SECONDS
        if not (is_recent and await self._broker.report_read(self.job, self.samples, self._worker)):
            await self._record()

    async def _record(self) -> None:
        # The reply says who runs the job: after Redis has lost symbols, the beginning of the next attempt is at a
        # position that this reader has passed.
        self._recorded_at = time.monotonic()
        self._worker = await self._broker.acknowledge(self.job, self.samples)

    async def _remind(self) -> None:
        """Redis may have been killed and lost the count of what was read, for which the sampler would wait forever."""
        if self.job.paced and self.samples:
            await self._record()

    async def length(self) -> int:
        """Samples in total, as soon as the worker knows: of a short text, while it samples the first sentence.

        Raises:
            ServiceError: the job ended before that, or Redis stays unavailable.
        """
        while True:
            with redis_errors():
                job = await self._broker.patient_job(self.job.id)
            if job is None:
                raise NotFound("The job is gone.", code="job_not_found")
            if job.samples_total is not None:
                return job.samples_total
            if job.status.terminal:
                check_end(job.status, job.error)
            await asyncio.sleep(POLL_SECONDS)


async def encoded(
    reader: AudioReader, form: str, sample_rate: int | None, *, tagged: bool = True
) -> AsyncGenerator[bytes, None]:
    """The encoded bytes of a job, as they become available. None of the pieces is empty.

    Args:
        reader: of the job.
        form: a key of :data:`ancestral.formats.MEDIA_TYPES`.
        sample_rate: of the bytes; the format's default if None.
        tagged: whether they begin with the tags of a file, in formats that have them.
    """
    waves = reader.waves()
    first = await anext(waves, None)  # by now the length of a short text is known, or nearly
    length = await reader.length() if form in formats.LENGTH_IN_HEADER and reader.plan.length_before_sound else 0
    tags = tags_of(reader.plan, reader.model) if tagged else codecs.NO_TAGS
    encoder = SoundEncoder(reader.model, reader.plan, form, sample_rate, length, tags)
    if first is not None and (data := encoder.feed(*first)):
        yield data
    async for index, wave in waves:
        if data := encoder.feed(index, wave):
            yield data
    if data := encoder.finish():
        yield data


@dataclass(frozen=True)
class Sound:
    """A job of sound, and its bytes while they are sampled."""

    reader: AudioReader
    source: AsyncGenerator[bytes, None]
    """Drives the reader."""
    sample_rate: int
    """Rate of the bytes, in hertz."""
    service: AppState
    """Holds the finished file."""
    media_type: str
    timeline: Timeline | None
    """None if no times were requested, or nothing is said."""


async def timed(sound: Sound) -> AsyncGenerator[tuple[bytes, list[SentenceTimes]], None]:
    """The bytes, each piece with the times of the sentences that begin in it, if times were requested."""
    sent = 0
    async for piece in sound.source:
        new: list[SentenceTimes] = []
        if sound.timeline is not None and sent < sound.reader.streams:
            new = (await sound.timeline.first(sound.reader.streams))[sent:]
            sent += len(new)
        yield piece, new


async def as_events(sound: Sound, timestamps: Timestamps) -> AsyncGenerator[bytes, None]:
    """The same as OpenAI's server-sent events, with these times."""
    rate = sound.sample_rate
    async for piece, sentences in timed(sound):
        if sentences:
            yield event(schemas.SpeechAudioTimestamps(sample_rate=rate, **times_of(sentences, timestamps)))
        yield event(schemas.SpeechAudioDelta(audio=base64.b64encode(piece).decode()))
    yield event(schemas.SpeechAudioDone(usage=usage_of(sound.reader)))


def usage_of(reader: AudioReader) -> schemas.Usage:
    """What a job that has been read has cost."""
    tokens, samples = reader.plan.input_tokens, reader.samples
    return schemas.Usage(input_tokens=tokens, output_tokens=samples, total_tokens=tokens + samples)
