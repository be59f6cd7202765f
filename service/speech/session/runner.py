"""A session at work: its text becomes jobs, their sound goes to the client, in order.

Three things go on at a time: text is received, one utterance is sent, and twice a second it is checked that nothing of
the session gets lost (:meth:`SessionRunner.keep`). Utterances are ordered one at a time, by whoever finds that
there is something to job_spec.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from service.broker import UNAVAILABLE
from service.broker.job import Job
from service.errors import NotFound, NotReady, Overloaded, ServiceError, queue_away
from service.jobs.caller import Caller
from service.jobs.rate_limit import Limits
from service.jobs.state import State
from service.jobs.submit import resume, submit_job
from service.speech import codecs
from service.speech.requests import speech_job
from service.speech.session.resumption import Resumable
from service.speech.session.state import SessionState, Utterance
from service.speech.session.utterance_sender import EventSink, UtteranceSender
from service.speech.stream import AudioReader, encoded
from service.telemetry.metrics import Transport
from service.telemetry.playback import Playback, track_playback
from service.ws.bounded_websocket import Idle, Leave

TICK_SECONDS = 0.5
"""Less than the least ``stall_seconds``."""
TAKEN_OVER = 4409
"""Websocket close code: the session goes on in another connection."""

log = logging.getLogger(__name__)


class SessionRunner:
    """One session.

    Args:
        state: of the service.
        limits: of callers.
        caller: whose session it is.
        session_state: what is said in it.
        sink: to the client.
        resumable: where the session is kept; None if it is not.
        idle_seconds: after which a session in which nothing is said is over.
    """

    def __init__(
        self,
        state: State,
        limits: Limits,
        caller: Caller,
        session_state: SessionState,
        sink: EventSink,
        resumable: Resumable | None,
        idle_seconds: float,
    ) -> None:
        self.session_state = session_state
        self._state = state
        self._limits = limits
        self._caller = caller
        self._sink = sink
        self._resumable = resumable
        self._idle_seconds = idle_seconds
        config = session_state.config
        self._model = state.catalog.speech_model(config.model, "speech")
        self.sample_rate = codecs.rate_of(config.response_format, self._model.spec.sample_rate, config.sample_rate)
        self._lock = asyncio.Lock()
        self._work = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._sender: UtteranceSender | None = None
        self._skip = 0
        self._retry_at = 0.0
        self._busy_at = time.monotonic()
        self._heard_at = time.perf_counter()
        self._awaited: dict[int, float] = {}
        self._listener: Playback | None = None

    # What the client wants

    async def add_text(self, text: str) -> None:
        """A piece of text.

        Raises:
            InvalidRequest: too much of it waits.
        """
        await self._change(lambda: self.session_state.add_text(text))

    async def flush(self) -> None:
        """Say what has been received, complete or not."""
        await self._change(self.session_state.flush)

    async def close(self) -> None:
        """Say all of it, then that it is said."""
        await self._change(self.session_state.close)

    async def _change(self, change: Callable[[], None]) -> None:
        """Do something to the text, which takes the front-end a moment, and order what is complete then."""
        self._busy_at, self._heard_at = time.monotonic(), time.perf_counter()
        # Done to its end even if the connection ends meanwhile: a text that is half received must not be written down.
        await asyncio.shield(_task(self._changed(change)))
        await self._order()
        await self._settle()

    async def _changed(self, change: Callable[[], None]) -> None:
        async with self._lock:
            await asyncio.to_thread(change)
            await self.save()

    async def cancel(self) -> None:
        """Say no more of what has been received."""
        self._busy_at = time.monotonic()
        async with self._lock:
            sending = self._sending
            if sending is not None:
                sending.cancel()
            cancelled = self.session_state.cancel(self._sender.sent if self._sender else 0, time.time())
            if sending is not None:
                await asyncio.wait({sending})
            await self.save()
            await self._each(cancelled, self._state.broker.cancel)

    # Jobs

    async def _order(self) -> None:
        """Make jobs of complete text. What has begun is finished, even if the connection ends meanwhile."""
        await asyncio.shield(_task(self._order_all()))

    async def _order_all(self) -> None:
        async with self._lock:
            while time.monotonic() >= self._retry_at and (text := self.session_state.take()):
                ahead = self.session_state.next() is not None
                try:
                    await self._order_one(text)
                except (Overloaded, NotReady) as error:
                    self.session_state.put_back()
                    if ahead and self.session_state.next() is None:  # whose place has become free meanwhile
                        continue
                    seconds = int(error.headers["retry-after"])
                    self._retry_at = time.monotonic() + seconds
                    if not ahead:  # else nobody waits for it yet
                        await self._sink.failed(error, seconds)
                except ServiceError as error:
                    self.session_state.drop()
                    await self._sink.failed(_of_text(error))

    async def _order_one(self, text: str) -> None:
        request = self.session_state.config.request(text, self.session_state.next_seed)
        job_spec, utterance = await asyncio.to_thread(speech_job, self._state.catalog, request)
        try:
            await self._limits.count(self._caller)
            job = await submit_job(self._state, self._caller, job_spec, prefer=None, key=None)
        except UNAVAILABLE as error:
            raise queue_away() from error
        silent = self.session_state.next() is None
        self.session_state.began(job.id, len(utterance.sentences), round(utterance.seconds * self.sample_rate))
        if silent:
            self._awaited[self.session_state.utterances[-1].number] = self._heard_at
        self._work.set()
        if not await self.save():
            await self._state.broker.cancel(job)

    async def _each(self, utterances: list[Utterance], deal: Callable[[Job], Awaitable[object]]) -> None:
        """Deal with the jobs of utterances that are still kept."""
        with suppress(*UNAVAILABLE):
            for utterance in utterances:
                if (job := await self._state.broker.job(utterance.job_id)) is not None:
                    utterance.estimate = self._resampled(job.samples_total or 0) or utterance.estimate
                    await deal(job)

    # Sound

    async def rewind(self, sample: int) -> None:
        """Go on from a sample of the session, as counted in what has been sent.

        Raises:
            InvalidRequest: it is no longer kept, or not there yet.
        """
        self._skip = self.session_state.rewind(sample)
        self._work.set()
        await self._wake()
        await self._settle()

    async def speak(self) -> None:
        """Send utterances, one after another, for ever.

        Raises:
            Leave: the client does not read.
            Left: it is gone.
        """
        while True:
            await self._work.wait()
            self._work.clear()
            while (utterance := self.session_state.next()) is not None:
                await self._speak(utterance)
            await self._settle()

    async def _speak(self, utterance: Utterance) -> None:
        config, skip = self.session_state.config, self._skip
        self._skip = 0
        self._sender = sender = UtteranceSender(self._sink, utterance, self.sample_rate, config.response_format, skip)
        self._sending = sending = _task(self._send(utterance, sender))
        try:
            await asyncio.wait({sending})
        except asyncio.CancelledError:
            sending.cancel()
            await asyncio.wait({sending})
            raise
        self._sending = self._sender = None
        if utterance.cancelled:
            return
        sending.result()
        self._busy_at, self._retry_at = time.monotonic(), 0.0
        self.session_state.ended(sender.sent, time.time(), self._state.settings.stream_seconds)
        await self.save()
        await self._order()

    async def _send(self, utterance: Utterance, sender: UtteranceSender) -> None:
        form, rate = self.session_state.config.response_format, self._model.spec.sample_rate
        try:
            reader = AudioReader(self._state.broker, await self._job(utterance), self._model.spec)
            source = encoded(reader, rate, form, self.sample_rate)
            async with aclosing(track_playback(source, self._playback(utterance), sender.seconds)) as pieces:
                async for piece in pieces:
                    await sender.send(piece, self._resampled(reader.samples))
            await sender.end(self._resampled(reader.samples))
        except ServiceError as error:
            await self._sink.failed(error)

    def _playback(self, utterance: Utterance) -> Playback:
        """Of the utterance's listener, who is busy with those before it, and waits for this one if there are none."""
        before, asked_at = self._listener, self._awaited.pop(utterance.number, None)
        busy_until = before.dry_at if before is not None and before.dry_at is not None else 0.0
        observer = self._state.metrics.listener(Transport.WEBSOCKET, self._model.entry.id)
        self._listener = Playback(observer, asked_at, busy_until)
        return self._listener

    async def _job(self, utterance: Utterance) -> Job:
        try:
            job = await self._state.broker.job(utterance.job_id)
        except UNAVAILABLE as error:
            raise queue_away() from error
        if job is None:
            raise NotFound("The sound of this utterance is no longer kept.", code="content_expired")
        return job

    def _resampled(self, samples: int) -> int:
        return codecs.resampled_length(samples, self._model.spec.sample_rate, self.sample_rate)

    # Upkeep

    async def keep(self) -> None:
        """Again and again: order what there was no room for, hold on to the jobs and to the session.

        Raises:
            Idle: nothing has been said for long.
            Leave: another connection has the session.
        """
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self._order()
            await self._settle()
            if self.session_state.next() is not None:
                self._busy_at = time.monotonic()
                await self._wake()
            elif time.monotonic() - self._busy_at > self._idle_seconds:
                raise Idle(1000, "nothing was said for long")
            with suppress(*UNAVAILABLE):
                if self._resumable is not None and not await self._resumable.hold(self.session_state):
                    raise Leave(TAKEN_OVER, "the session goes on in another connection")

    async def _wake(self) -> None:
        """Take parked jobs up again; let the worker leave it to us to judge how long is too long for a reader."""
        with suppress(Overloaded):  # they stay parked until there is room
            await self._each(self.session_state.outstanding, self._take_up)

    async def _take_up(self, job: Job) -> None:
        await resume(self._state, job)
        await self._state.broker.attend(job)

    async def _settle(self) -> None:
        if self.session_state.settle():
            await self.save()
            await self._sink.finished()

    async def save(self) -> bool:
        """Write the session down. False if another connection has it."""
        with suppress(*UNAVAILABLE):
            return self._resumable is None or await self._resumable.save(self.session_state)
        return True

    async def leave(self, *, keep: bool) -> None:
        """The connection has ended: leave the session for another one, or end it."""
        async with self._lock:
            with suppress(*UNAVAILABLE):
                if self._resumable is None:
                    keep = False
                elif not await (self._resumable.let_go(self.session_state) if keep else self._resumable.forget()):
                    return
            broker = self._state.broker
            await self._each(self.session_state.outstanding, broker.ask_park if keep else broker.cancel)


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task whose failure is nobody's business once the one who waits for it is gone."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return task


def _of_text(error: ServiceError) -> ServiceError:
    """An error of a request, in which the text has another name."""
    if error.param == "input":
        error.param, error.message = "text", f"text{error.message.removeprefix('input')}"
    return error
