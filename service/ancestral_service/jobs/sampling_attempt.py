"""The programs of a worker: sound and pictures, whose streams go one after another through the scheduler to Redis, and
scores, which are computed."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from ancestral.catalog.descriptions import Part, Plan, Sampler
from ancestral.detection.examine import Picture, Sound, examine
from ancestral.detection.query import Examination
from ancestral.formats import LENGTH_IN_HEADER
from ancestral.images.drawing import Drawing, PictureEncoding, PictureScore
from ancestral.images.sampler import ImageSampler, report
from ancestral.loader import LoadedModels
from ancestral.speech.sampler import RecordingScorer, SentencePart, SpeechSampler, Timing
from ancestral.speech.utterance import Generation, RecordingScore, SoundPlan, Utterance
from ancestral_models.engines.base import Stream
from ancestral_models.engines.images.engine import ImageBatch
from ancestral_models.scheduler import Chunk, End, Slot
from ancestral_service.broker.connection import cancel_all
from ancestral_service.broker.job import Piece, Priority, ResumePoint, Snapshot, StaleAttempt, SymbolsLost
from ancestral_service.broker.workers import Lease
from ancestral_service.jobs.attempt import AttemptContext, JobAttempt, Stop
from ancestral_service.jobs.plans import plan_of

LONGEST_SECONDS: Final = 1.0
"""Longest output in one piece."""
_MARGIN_SECONDS: Final = 0.1
"""A listener who has less than this to play gets what there is."""


class PublishPacing:
    """Each piece may be as long as what its listener still has to play, so pieces double: 20 ms, 40 ms, 80 ms, …

    Every piece costs Redis and the API process the same, however long it is.

    Args:
        rate: symbols per second of output.
        ahead_seconds: how far sampling runs ahead of the listener.
    """

    def __init__(self, rate: int, ahead_seconds: float) -> None:
        self._rate = rate
        self._longest = min(LONGEST_SECONDS, ahead_seconds / 2)
        self._runs_out_at = -math.inf

    def due_in(self, held: int, now: float) -> float:
        """Seconds for which ``held`` symbols may still wait for more of them; at most 0 if they are to be published."""
        left = self._runs_out_at - now
        return 0.0 if held / self._rate >= min(left, self._longest) else left - _MARGIN_SECONDS

    def published(self, symbols: int, now: float) -> None:
        """Note that symbols have been published, to a listener who plays them as soon as possible."""
        self._runs_out_at = max(self._runs_out_at, now) + symbols / self._rate


BATCH_AHEAD_SECONDS = 10.0
"""How far sampling runs ahead of what Redis has stored, if no client is listening."""
FED_SECONDS = 3.0
"""Seconds of output. The next stream is opened when less than this is left to sample of those before it."""
EVENT_SECONDS, PACED_EVENT_SECONDS = 1.0, 2.5
"""Interval of a job's progress events: longer where a client listens, who hears it."""
PARK_SECONDS = 3.0
"""Time after which an attempt whose client reads at less than half the speed of sound gives its slot to one that
waits."""

log = logging.getLogger(__name__)


class SamplingAttempt(JobAttempt):
    """Streams of symbols, one after the other, through the scheduler to the job's readers."""

    def __init__(self, context: AttemptContext, sampler: Sampler, lease: Lease, plan: Plan) -> None:
        super().__init__(context, sampler, lease, plan)
        self._chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        self._sampled = asyncio.Event()
        """Set whenever symbols have been sampled."""
        self._slot: Slot | None = None
        self._read = 0
        self._last_event_at = 0.0
        self._slow_since = (time.monotonic(), 0)
        self._error: BaseException | None = None
        self._idle_since: float | None = None
        self._idle_seconds = 0.0

    @property
    @abstractmethod
    def rate(self) -> int:
        """Symbols per second of output."""

    @abstractmethod
    def on_sampled(self, symbols: int) -> None:
        """Record that ``symbols`` more have been sampled."""

    def on_finished(self, symbols: int, seconds: float) -> None:
        """Record the total symbols and the sampling time in seconds, without waits for the reader."""

    @abstractmethod
    async def parts(self, first: int) -> Iterator[Part]:
        """The streams to sample, from number ``first`` on."""

    async def length_of(self, index: int) -> int | None:
        """Symbols of stream number ``index``, which is not the first; None if there is none."""
        return None

    @property
    def total_awaited(self) -> bool:
        """Whether a client reads nothing before the length of the job is known."""
        return False

    async def _on_planned(self, total: int) -> None:
        """The length of the job is known."""
        self.lease.note(total=total)
        if self.total_awaited:
            await self.lease.store()

    async def on_opened(self, part: Part, stream: Stream) -> None:
        """The stream of a part has been opened, and none of its symbols has been published yet by this attempt."""

    async def result(self) -> dict[str, Any] | None:
        """What the job gives besides its symbols, all of which have been sampled."""
        return None

    def halt(self) -> None:
        if self._slot is not None:
            self._slot.cancel()

    def on_read(self, read: int) -> None:
        if self.job.paced and read > self._read:
            self._read = read
            if self._slot is not None:
                self._slot.extend_limit(read + self._ahead)
            self._note_idleness()

    @property
    def waiting_for_reader(self) -> bool:
        return self.job.paced and self._slot is not None and self._slot.position >= self._read + self._ahead

    def on_redis_unavailable(self) -> None:
        super().on_redis_unavailable()
        self._slow_since = time.monotonic(), self._read

    def parking_position(self, now: float) -> int | None:
        since, read = self._slow_since
        if self._read - read >= (now - since) * self.rate / 2:
            self._slow_since = now, self._read
        elif self._slot is not None and self.waiting_for_reader and now - since >= PARK_SECONDS:
            return self._slot.position - self._ahead // 2
        return None

    def _note_idleness(self) -> None:
        """Add up the time spent waiting for the reader."""
        now = time.monotonic()
        if self.waiting_for_reader:
            self._idle_since = self._idle_since or now
        elif self._idle_since is not None:
            self._idle_seconds += now - self._idle_since
            self._idle_since = None

    @property
    def _ahead(self) -> int:
        seconds = self.context.settings.ahead_seconds if self.job.paced else BATCH_AHEAD_SECONDS
        return int(seconds * self.rate)

    async def work(self) -> dict[str, Any] | None:
        retry, loop = self.lease.attempt > 1, asyncio.get_running_loop()
        resume = await self.lease.resume_point() if retry else ResumePoint(0, 0, None)
        snapshot, self._read = resume.snapshot, max(self._read, resume.read)
        start, index = (snapshot.position, snapshot.index) if snapshot is not None else (0, 0)
        if snapshot is not None:
            self.context.metrics.resumed(self.job)
        if retry:
            figures = {"attempt": self.lease.attempt, "position": start, "published": resume.published}
            log.info("job taken up again", extra={"job": self.job.id, **figures})
        self._slot = slot = self.context.scheduler.open(
            self.sampler.engine,
            self.rate,
            lambda chunk: loop.call_soon_threadsafe(self._chunks.put_nowait, chunk),
            realtime=self.job.priority is Priority.INTERACTIVE,
            limit=(self._read if self.job.paced else start) + self._ahead,
            start=start,
            index=index,
        )
        if self.stopped is not None:
            slot.cancel()
        feeding = asyncio.create_task(self._feed(slot, snapshot))
        feeding.add_done_callback(partial(self._feeder_done, slot))
        begun, result = time.monotonic(), None
        try:
            if await self._publish_chunks(slot, resume.published):
                await self.lease.store()
                result = await self.result()
                self.symbols = slot.position
            self._note_idleness()
            self.on_finished(slot.position - start, time.monotonic() - begun - self._idle_seconds)
        finally:
            slot.cancel()
            await cancel_all(feeding)
        return result

    async def _feed(self, slot: Slot, snapshot: Snapshot | None) -> None:
        """Give the scheduler one stream after another; text and frames are computed meanwhile."""
        first = snapshot.index if snapshot is not None else 0
        parts, fed = await self.parts(first), 0
        storing: asyncio.Task[None] | None = None
        try:
            while (part := await self.context.in_pool(partial(next, parts, None))) is not None:
                stream = await self.context.in_pool(partial(self._open, part, snapshot))
                if storing is None:
                    fed = snapshot.position - (stream.position - len(part.prompt)) if snapshot is not None else 0
                fed += part.request.length - len(part.prompt)
                snapshot = None
                await self.on_opened(part, stream)
                slot.feed(stream)
                storing = storing or asyncio.create_task(self._store_total(fed, first))
                while fed - slot.position > FED_SECONDS * self.rate:
                    self._sampled.clear()
                    await self._sampled.wait()
        finally:
            if storing is not None:
                await cancel_all(storing)  # what fails here fails above, too
        await self._on_planned(fed)
        slot.finish()

    async def _store_total(self, so_far: int, index: int) -> None:
        """Store the job's length, for headers and estimates: known long before its last stream is."""
        total = so_far
        while (length := await self.length_of(index := index + 1)) is not None:
            total += length
        await self._on_planned(total)

    def _feeder_done(self, slot: Slot, feeding: asyncio.Task[None]) -> None:
        """Fail the job, if a stream could not be opened, once all streams before it have been sampled."""
        if not feeding.cancelled() and (error := feeding.exception()) is not None:
            self._error = error
            slot.finish()

    def _open(self, part: Part, snapshot: Snapshot | None) -> Stream:
        return self.sampler.open(part) if snapshot is None else self.sampler.restore(part, snapshot.state)

    async def _publish_chunks(self, slot: Slot, published: int) -> bool:
        """Publish chunks as they are sampled, until the slot's last.

        Args:
            slot: of this attempt.
            published: number of symbols that earlier attempts have published.

        Returns:
            Whether the slot completed; False if it was cancelled.
        """
        pacing = PublishPacing(self.rate, self._ahead / self.rate)
        while True:
            chunks = await self._gather(pacing)
            last = chunks[-1]
            if failed := [chunk for chunk in chunks if chunk.end is End.FAILED]:
                raise failed[0].error or AssertionError("a slot failed without an error")
            pieces = _pieces(chunks, published)
            snapshots = [Snapshot(c.index, c.start + len(c.symbols), c.snapshot) for c in chunks if c.snapshot]
            if (pieces or snapshots) and self.stopped not in (Stop.CANCELLED, Stop.STALE):
                await self._publish(pieces, snapshots[-1] if snapshots else None)
                pacing.published(sum(map(len, pieces)), time.monotonic())
            if self._error is not None and last.end is End.COMPLETED:
                raise self._error
            if last.end is not None:
                return last.end is End.COMPLETED
            if not self.job.paced:
                slot.extend_limit(last.start + len(last.symbols) + self._ahead)

    async def _gather(self, pacing: PublishPacing) -> list[Chunk]:
        """The chunks to publish next, once they are due; at the latest when the last one is among them."""
        chunks = [await self._next_chunk()]
        while chunks[-1].end is None:
            waits = pacing.due_in(sum(len(chunk.symbols) for chunk in chunks), time.monotonic())
            if waits <= 0 and self._chunks.empty():
                break
            try:
                async with asyncio.timeout(max(0.0, waits)):
                    chunks.append(await self._next_chunk())
            except TimeoutError:
                break
        return chunks

    async def _next_chunk(self) -> Chunk:
        chunk = await self._chunks.get()
        self._sampled.set()
        self.on_sampled(len(chunk.symbols))
        self._note_idleness()
        return chunk

    async def _publish(self, pieces: list[Piece], snapshot: Snapshot | None) -> None:
        now = time.monotonic()
        event = now - self._last_event_at >= (PACED_EVENT_SECONDS if self.job.paced else EVENT_SECONDS)
        if event:
            self._last_event_at = now
        try:
            await self.lease.publish(pieces, snapshot, event=event)
        except StaleAttempt:
            self.stop(Stop.STALE)
        except SymbolsLost:
            self.on_symbols_lost()


def _pieces(chunks: list[Chunk], published: int) -> list[Piece]:
    """Chunks as entries: adjacent ones of a stream are merged, and symbols that are already published are left out."""
    pieces: list[Piece] = []
    for chunk in chunks:
        new = chunk.symbols[max(0, published - chunk.start) :]
        if not len(new):
            continue
        piece = Piece.from_samples(chunk.index, chunk.start + len(chunk.symbols) - len(new), new)
        if pieces and pieces[-1].index == piece.index:
            pieces[-1] = replace(pieces[-1], data=pieces[-1].data + piece.data)
        else:
            pieces.append(piece)
    return pieces


MIN_MEASURED_SECONDS = 0.5
"""Least sound whose real-time factor means anything."""


class SoundAttempt(SamplingAttempt):
    """Sound: a text has one stream for each sentence, sound without text a single one."""

    sampler: SpeechSampler
    plan: Utterance | Generation

    @property
    def rate(self) -> int:
        return self.sampler.model.spec.sample_rate

    @property
    def total_awaited(self) -> bool:
        return self.plan.response_format in LENGTH_IN_HEADER or self.plan.times_before_sound

    def on_sampled(self, symbols: int) -> None:
        self.context.metrics.count_audio(self.sampler, symbols, self.rate)

    def on_finished(self, symbols: int, seconds: float) -> None:
        if symbols >= MIN_MEASURED_SECONDS * self.rate and seconds > 0:
            self.context.metrics.factor(self.job, symbols / self.rate / seconds)

    async def parts(self, first: int) -> Iterator[Part]:
        """A generation continues the uploaded recording, if there is one."""
        self._sentence = self._timed = first
        if isinstance(self.plan, Utterance):
            return self.sampler.parts(self.plan, first)
        prompt = b"" if self.plan.prompt_sha256 is None else await self.lease.upload()
        return iter([self.sampler.generation(self.plan, np.frombuffer(prompt, np.uint8))])

    async def on_opened(self, part: Part, stream: Stream) -> None:
        if isinstance(part, SentencePart):
            self._sentence += 1
            self._note_timing(self._sentence - 1, part.timing)

    async def length_of(self, index: int) -> int | None:
        """Planning takes little from what is sampled, unless a client waits for it."""
        if not isinstance(self.plan, Utterance) or index == len(self.plan.sentences):
            return None
        awaited = self.plan.length_before_sound or self.plan.times_before_sound
        run = self.context.in_pool if awaited else self.context.planned
        timing = await run(partial(self.sampler.timing, self.plan, index))
        self._note_timing(index, timing)
        return timing.length

    def _note_timing(self, sentence: int, timing: Timing) -> None:
        """Note when the phonemes of a sentence are said, if it is the first for which they are known."""
        if sentence >= self._timed:
            self.lease.note(timings={sentence: timing.dump()})
            self._timed = sentence + 1


class PicturesAttempt(SamplingAttempt):
    """All pictures of a job, as one batch."""

    sampler: ImageSampler
    plan: Drawing
    _batch: ImageBatch | None = None
    """All pictures, once they have been opened."""

    @property
    def rate(self) -> int:
        """All pictures in one second: idle time makes them sooner, and no audio stream has to wait for them."""
        return self.plan.count * self.sampler.model.spec.dims

    def on_sampled(self, symbols: int) -> None:
        self.context.metrics.count_pixels(self.sampler, symbols, self.sampler.model.spec.channels)

    def on_completed(self) -> None:
        self.context.metrics.finished(self.sampler, self.plan.count)

    async def parts(self, first: int) -> Iterator[Part]:
        """The rows that are kept, or the picture to draw from, were uploaded."""
        if self.plan.prompt_sha256 is None:
            return iter([self.sampler.part(self.plan)])
        upload = np.frombuffer(await self.lease.upload(), np.uint8)
        # In the pool: a vector takes a few milliseconds.
        return iter([await self.context.in_pool(partial(self.sampler.part, self.plan, upload))])

    async def on_opened(self, part: Part, stream: Stream) -> None:
        """Publish the coarse scale, which has been sampled: clients may show it."""
        assert isinstance(stream, ImageBatch)
        self._batch = stream
        if self.sampler.model.spec.coarse is not None:
            await self.lease.preview(stream.coarse.tobytes())

    async def result(self) -> dict[str, Any] | None:
        """The choice of pictures, and what they show: half a millisecond each."""
        assert self._batch is not None
        symbols = np.stack([picture.symbols for picture in self._batch.pictures])
        found = await self.context.in_pool(partial(self.sampler.judge, self.plan, symbols))
        if found is None:
            return None
        shown = [{name: value._asdict() for name, value in one.items()} for one in found.shown]
        return {"chosen": found.chosen, "shown": shown}


def open_attempt(context: AttemptContext, sampler: Sampler, lease: Lease) -> JobAttempt:
    """The attempt at a claimed job; raises as :func:`plan_of` does."""
    plan = plan_of(lease.job, Plan)
    programs = {SoundPlan: SoundAttempt, Drawing: PicturesAttempt}
    program = next((found for kind, found in programs.items() if isinstance(plan, kind)), ScoringAttempt)
    return program(context, sampler, lease, plan)


class ScoringAttempt(JobAttempt):
    """No client reads while it runs."""

    async def work(self) -> dict[str, Any] | None:
        upload, sampler = await self.lease.upload(), self.sampler
        match self.plan:
            case RecordingScore() as score:
                return await self._score_recording(score, upload)
            case Examination() as examination:
                return await self._examine(examination, upload)
        assert isinstance(sampler, ImageSampler)
        spec, symbols = sampler.model.spec, np.frombuffer(upload, np.uint8)
        await self._announce(spec.dims)
        if isinstance(self.plan, PictureScore):
            image = symbols.reshape(1, spec.height, spec.width, spec.channels)
            return report(await self.context.in_pool(partial(sampler.score, image, self.plan.labels)))
        assert isinstance(self.plan, PictureEncoding)
        h = await self.context.in_pool(partial(sampler.encode, symbols))
        return {"embedding": [float(number) for number in h], "dims": len(upload)}

    async def _announce(self, total: int) -> None:
        """Store how much there is to do."""
        self.lease.note(total=total)
        await self.lease.store()

    async def _score_recording(self, plan: RecordingScore, upload: bytes) -> dict[str, Any] | None:
        """ln p of every symbol, given those before it and the text that is said. Stoppable between two blocks."""
        sampler = self.sampler
        assert isinstance(sampler, SpeechSampler)
        scorer = await self.context.in_pool(lambda: RecordingScorer(sampler, plan.voice, plan.sentences, upload))
        await self._announce(len(scorer.symbols))
        blocks = scorer.blocks()
        while await self.context.in_pool(lambda: next(blocks, None)) is not None:
            if self.stopped is not None:
                return None
        return scorer.report()

    async def _examine(self, plan: Examination, upload: bytes) -> dict[str, Any] | None:
        """All parts of the answer but the signature. Stops early when told to."""
        self.lease.note(total=len(upload))
        models, key = self.context.catalog, self.context.settings.provenance_key
        assert isinstance(models, LoadedModels), "a worker's"
        secret = None if key is None else key.get_secret_value().encode()
        subject = _subject(plan, models, upload)
        search = partial(examine, models, subject, plan.query, secret, lambda: self.stopped is not None)
        async with self.context.searching:
            found = None if self.stopped is not None else await asyncio.to_thread(search)
        return None if self.stopped is not None else found


def _subject(plan: Examination, models: LoadedModels, upload: bytes) -> Picture | Sound:
    if plan.sound:
        return Sound(plan.models[0], np.frombuffer(upload, "<f4"))
    symbols, at = [], 0
    for name in plan.models:
        spec = models.image_model(name, "image_likelihood").spec
        seen = np.frombuffer(upload, np.uint8, spec.dims, at)
        symbols.append((name, seen.reshape(spec.height, spec.width, spec.channels)))
        at += spec.dims
    return Picture(symbols)
