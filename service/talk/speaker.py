"""A conversation at work: its text becomes jobs, their sound goes to the client, in order.

Three things go on at a time: text is heard, one utterance is sent, and twice a second it is seen to that nothing of
the session gets lost meanwhile (:meth:`Speaker.keep`). Utterances are ordered one at a time, by whoever finds that
there is something to order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from service import codecs
from service.api.state import State
from service.auth import Caller
from service.broker import UNAVAILABLE
from service.errors import NotFound, NotReady, Overloaded, ServiceError, queue_away
from service.hearing import Hearing, heard
from service.intake import accept, resume
from service.jobs import Job
from service.limits import Limits
from service.metrics import Road
from service.orders import speech_order
from service.streaming import Listening, encoded
from service.talk.channel import Leave
from service.talk.conversation import Conversation, Utterance
from service.talk.passage import Outlet, Passage
from service.talk.resumption import Resumable

TICK_SECONDS = 0.5
"""Less than the least ``stall_seconds``."""
TAKEN_OVER = 4409
"""Websocket close code: the session goes on in another connection."""

log = logging.getLogger(__name__)


class Idle(Leave):
    """Nothing has been said for long."""


class Speaker:
    """One session.

    Args:
        state: of the service.
        limits: of callers.
        caller: whose session it is.
        conversation: what is said in it.
        outlet: to the client.
        resumable: where the session is kept; None if it is not.
        idle_seconds: after which a session in which nothing is said is over.
    """

    def __init__(
        self,
        state: State,
        limits: Limits,
        caller: Caller,
        conversation: Conversation,
        outlet: Outlet,
        resumable: Resumable | None,
        idle_seconds: float,
    ) -> None:
        self.conversation = conversation
        self._state = state
        self._limits = limits
        self._caller = caller
        self._outlet = outlet
        self._resumable = resumable
        self._idle_seconds = idle_seconds
        config = conversation.config
        self._model = state.catalogue.sound_model(config.model, "speech")
        self.sample_rate = codecs.rate_of(config.response_format, self._model.spec.sample_rate, config.sample_rate)
        self._lock = asyncio.Lock()
        self._work = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._passage: Passage | None = None
        self._skip = 0
        self._retry_at = 0.0
        self._busy_at = time.monotonic()
        self._heard_at = time.perf_counter()
        self._awaited: dict[int, float] = {}
        self._listener: Hearing | None = None

    # What the client wants

    async def hear(self, text: str) -> None:
        """A piece of text.

        Raises:
            InvalidRequest: too much of it waits.
        """
        await self._change(lambda: self.conversation.hear(text))

    async def flush(self) -> None:
        """Say what has been heard, complete or not."""
        await self._change(self.conversation.flush)

    async def close(self) -> None:
        """Say all of it, then that it is said."""
        await self._change(self.conversation.close)

    async def _change(self, change: Callable[[], None]) -> None:
        """Do something to the text, which takes the front-end a moment, and order what is complete then."""
        self._busy_at, self._heard_at = time.monotonic(), time.perf_counter()
        # Done to its end even if the connection ends meanwhile: a text that is half heard must not be written down.
        await asyncio.shield(_task(self._changed(change)))
        await self._order()
        await self._settle()

    async def _changed(self, change: Callable[[], None]) -> None:
        async with self._lock:
            await asyncio.to_thread(change)
            await self.save()

    async def cancel(self) -> None:
        """Say no more of what has been heard."""
        self._busy_at = time.monotonic()
        async with self._lock:
            sending = self._sending
            if sending is not None:
                sending.cancel()
            cancelled = self.conversation.cancel(self._passage.sent if self._passage else 0, time.time())
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
            while time.monotonic() >= self._retry_at and (text := self.conversation.take()):
                ahead = self.conversation.next() is not None
                try:
                    await self._order_one(text)
                except (Overloaded, NotReady) as error:
                    self.conversation.put_back()
                    if ahead and self.conversation.next() is None:  # whose place has become free meanwhile
                        continue
                    seconds = int(error.headers["retry-after"])
                    self._retry_at = time.monotonic() + seconds
                    if not ahead:  # else nobody waits for it yet
                        await self._outlet.failed(error, seconds)
                except ServiceError as error:
                    self.conversation.drop()
                    await self._outlet.failed(_of_text(error))

    async def _order_one(self, text: str) -> None:
        request = self.conversation.config.request(text, self.conversation.next_seed)
        order, utterance = await asyncio.to_thread(speech_order, self._state.catalogue, request)
        try:
            await self._limits.count(self._caller)
            job = await accept(self._state, self._caller, order, prefer=None, key=None)
        except UNAVAILABLE as error:
            raise queue_away() from error
        silent = self.conversation.next() is None
        self.conversation.began(job.id, len(utterance.sentences), round(utterance.seconds * self.sample_rate))
        if silent:
            self._awaited[self.conversation.utterances[-1].number] = self._heard_at
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
        self._skip = self.conversation.rewind(sample)
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
            while (utterance := self.conversation.next()) is not None:
                await self._speak(utterance)
            await self._settle()

    async def _speak(self, utterance: Utterance) -> None:
        config, skip = self.conversation.config, self._skip
        self._skip = 0
        self._passage = passage = Passage(self._outlet, utterance, self.sample_rate, config.response_format, skip)
        self._sending = sending = _task(self._send(utterance, passage))
        try:
            await asyncio.wait({sending})
        except asyncio.CancelledError:
            sending.cancel()
            await asyncio.wait({sending})
            raise
        self._sending = self._passage = None
        if utterance.cancelled:
            return
        sending.result()
        self._busy_at, self._retry_at = time.monotonic(), 0.0
        self.conversation.ended(passage.sent, time.time(), self._state.settings.stream_seconds)
        await self.save()
        await self._order()

    async def _send(self, utterance: Utterance, passage: Passage) -> None:
        form, rate = self.conversation.config.response_format, self._model.spec.sample_rate
        try:
            listening = Listening(self._state.broker, await self._job(utterance), self._model.spec)
            source = encoded(listening, rate, form, self.sample_rate)
            async with aclosing(heard(source, self._hearing(utterance), passage.seconds)) as pieces:
                async for piece in pieces:
                    await passage.send(piece, self._resampled(listening.samples))
            await passage.end(self._resampled(listening.samples))
        except ServiceError as error:
            await self._outlet.failed(error)

    def _hearing(self, utterance: Utterance) -> Hearing:
        """Of the utterance's listener, who is busy with those before it, and waits for this one if there are none."""
        before, asked_at = self._listener, self._awaited.pop(utterance.number, None)
        busy_until = before.dry_at if before is not None and before.dry_at is not None else 0.0
        ear = self._state.metrics.listener(Road.WEBSOCKET, self._model.entry.id)
        self._listener = Hearing(ear, asked_at, busy_until)
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
            if self.conversation.next() is not None:
                self._busy_at = time.monotonic()
                await self._wake()
            elif time.monotonic() - self._busy_at > self._idle_seconds:
                raise Idle(1000, "nothing was said for long")
            with suppress(*UNAVAILABLE):
                if self._resumable is not None and not await self._resumable.hold(self.conversation):
                    raise Leave(TAKEN_OVER, "the session goes on in another connection")

    async def _wake(self) -> None:
        """Take parked jobs up again; let the worker leave it to us to judge how long is too long for a reader."""
        with suppress(Overloaded):  # they stay parked until there is room
            await self._each(self.conversation.outstanding, self._take_up)

    async def _take_up(self, job: Job) -> None:
        await resume(self._state, job)
        await self._state.broker.attend(job)

    async def _settle(self) -> None:
        if self.conversation.settle():
            await self.save()
            await self._outlet.finished()

    async def save(self) -> bool:
        """Write the session down. False if another connection has it."""
        with suppress(*UNAVAILABLE):
            return self._resumable is None or await self._resumable.save(self.conversation)
        return True

    async def leave(self, *, keep: bool) -> None:
        """The connection has ended: leave the session for another one, or end it."""
        async with self._lock:
            with suppress(*UNAVAILABLE):
                if self._resumable is None:
                    keep = False
                elif not await (self._resumable.let_go(self.conversation) if keep else self._resumable.forget()):
                    return
            broker = self._state.broker
            await self._each(self.conversation.outstanding, broker.ask_park if keep else broker.cancel)


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
