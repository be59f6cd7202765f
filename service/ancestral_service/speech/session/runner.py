"""Runs a session: its text becomes jobs, whose sound is sent to the client in order.

Concurrently text is received, one utterance is sent (:meth:`SessionRunner.send_utterances`), a text that seems complete
waits for more, and twice a second jobs and session are kept alive (:meth:`SessionRunner.maintain`). Jobs are submitted
one at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from ancestral import formats
from ancestral.errors import AncestralError, InvalidRequest, NotFound
from ancestral.speech.timestamps import SentenceTimes
from ancestral.speech.utterance import Utterance
from ancestral_models.audio.resampler import resampled_length
from ancestral_service.broker.clients import StoredSession
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.job import Job
from ancestral_service.errors import NotReady, Overloaded
from ancestral_service.jobs.admission import submit_job
from ancestral_service.jobs.job_reader import redis_errors
from ancestral_service.jobs.planning import speech_job_in_thread
from ancestral_service.jobs.plans import plan_of
from ancestral_service.jobs.state import AppState, Caller
from ancestral_service.speech.audio_reader import AudioReader, encoded
from ancestral_service.speech.session.state import SessionState, Turn
from ancestral_service.speech.timeline import Timeline
from ancestral_service.telemetry.metrics import Playback, Transport, track_playback
from ancestral_service.ws import FRAME_BYTES, CloseConnection, IdleTimeout

# Sends the bytes of one utterance to the client of a session.

_CUT: Final = {"pcm": (0, 2), "wav": (44, 2), "ulaw_8000": (0, 1), "alaw_8000": (0, 1)}
"""Bytes of the header and of a sample, for the formats that can be cut at any sample."""


class EventSink(Protocol):
    """The messages that a client gets. All methods raise CloseConnection or Disconnected if one cannot be sent."""

    async def started(self, utterance: Turn) -> None:
        """Called when an utterance starts."""

    async def sound(self, data: bytes) -> None:
        """Send some of its bytes."""

    async def progress(self, utterance: Turn, samples: int, factor: float) -> None:
        """Called with the samples sent so far, and seconds of sound per second."""
        return

    async def ended(self, utterance: Turn, total_bytes: int, samples: int, sha256: str) -> None:
        """Called when it has been sent completely."""
        return

    async def finished(self) -> None:
        """Called when the whole input has been spoken."""

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        """Something failed; with ``retry_after`` (seconds) the server will try again."""


class UtteranceSender:
    """One utterance.

    Args:
        sink: to the client.
        utterance: to send.
        sample_rate: of the bytes.
        form: the format of the bytes.
        skip: samples that the client has already. Formats that cannot be cut are sent from the start.
    """

    def __init__(self, sink: EventSink, utterance: Turn, sample_rate: int, form: str, skip: int) -> None:
        self.sent = skip
        """Samples of it that the client has got, over this connection or an earlier one."""
        self._sink = sink
        self._utterance = utterance
        self._rate = sample_rate
        self._cut = _CUT.get(form)
        self._skip = skip
        self._skip_bytes = 0 if self._cut is None or not skip else self._cut[0] + self._cut[1] * skip
        self._total_bytes = 0
        self._sha256 = hashlib.sha256()
        self._started_at: float | None = None
        self._reported = skip

    def seconds(self) -> float:
        """Seconds of its sound that have been sent over this connection."""
        return (self.sent - self._skip) / self._rate

    async def send(self, piece: bytes, samples: int) -> None:
        """Send the next bytes.

        Args:
            piece: not empty.
            samples: encoded so far.
        """
        await self._start()
        self._sha256.update(piece)
        for start in range(0, len(piece), FRAME_BYTES):
            frame = piece[start : start + FRAME_BYTES]
            if new := frame[self._skip_bytes :]:
                await self._sink.sound(new)
            self._skip_bytes = max(0, self._skip_bytes - len(frame))
            self._total_bytes += len(frame)
            if self._cut is not None:
                header, width = self._cut
                samples = max(0, self._total_bytes - header) // width
            self.sent = max(self.sent, samples)
        if (whole := (self.sent - self._reported) // self._rate) > 0:
            # The next report is due a second later, however far this piece goes beyond this one's.
            self._reported += whole * self._rate
            await self._sink.progress(self._utterance, self.sent, self._factor())

    async def end(self, samples: int) -> None:
        """All bytes have been sent.

        Args:
            samples: in total.

        Raises:
            InvalidRequest: the client claims to have more.
        """
        self.sent = samples
        if self._skip > samples:
            message = f"from_sample: utterance {self._utterance.number} has no more than {samples} samples"
            raise InvalidRequest(message, param="from_sample", code="invalid_value")
        await self._start()
        await self._sink.ended(self._utterance, self._total_bytes, samples, self._sha256.hexdigest())

    async def _start(self) -> None:
        if self._started_at is None:
            self._started_at = time.monotonic()
            await self._sink.started(self._utterance)

    def _factor(self) -> float:
        assert self._started_at is not None
        seconds = max(1e-3, time.monotonic() - self._started_at)
        return round((self.sent - self._skip) / self._rate / seconds, 2)


TICK_SECONDS = 0.5
"""Shorter than the shortest ``stall_seconds``."""
TAKEN_OVER = 4409
"""Websocket close code: another connection has resumed the session."""

log = logging.getLogger(__name__)


class SessionRunner:
    """One session.

    Args:
        state: of the service.
        caller: who has opened the session.
        session_state: its state.
        sink: to the client.
        stored: the session in Redis; None if it cannot be resumed.
        idle_seconds: after which an idle session is closed.
        tagged: whether each utterance is a file of its own, with tags. Where they are pieces of one file, a tag between
            two of them is damage to a decoder.
    """

    def __init__(
        self,
        state: AppState,
        caller: Caller,
        session_state: SessionState,
        sink: EventSink,
        stored: StoredSession | None,
        idle_seconds: float,
        *,
        tagged: bool,
    ) -> None:
        self._state = state
        self._caller = caller
        self._stored = stored
        self._idle_seconds = idle_seconds
        self._tagged = tagged
        self._speak_for(session_state, sink)
        self._lock = asyncio.Lock()
        self._work = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._sender: UtteranceSender | None = None
        self._skip = 0
        self._retry_at = 0.0
        self._counted = False
        """Whether the text that is submitted next is among the caller's requests of this minute."""
        self._busy_at = time.monotonic()
        self._received_at = time.perf_counter()
        self._requested: tuple[int | None, float] = None, 0.0
        """The last utterance that was not sampled ahead of another, and when its text came."""
        self._listener: Playback | None = None

    def _speak_for(self, session_state: SessionState, sink: EventSink) -> None:
        config = session_state.config
        assert config.model is not None, "set by new_session_state"
        self.session_state = session_state
        self._sink = sink
        self._model = self._state.catalog.speech_model(config.model, "speech")
        self.sample_rate = formats.rate_of(config.response_format, self._model.sound_rate, config.sample_rate)
        self.reader: AudioReader | None = None
        """Of the utterance that is being sent, or was last."""

    # Messages from the client

    async def add_text(self, text: str) -> None:
        """Add a piece of text.

        Raises:
            InvalidRequest: too much text is waiting.
        """
        await self._change(lambda: self.session_state.add_text(text))

    async def speak(self, session_state: SessionState, sink: EventSink, text: str) -> None:
        """Speak a whole text as one utterance, with a state and a sink of its own. Nothing may be outstanding."""
        self._speak_for(session_state, sink)
        self._counted = False
        await self._change(lambda: session_state.speak(text))

    def keep_alive(self) -> None:
        """The client has not forgotten the session."""
        self._busy_at = time.monotonic()

    async def flush(self) -> None:
        """Speak the text so far, complete or not."""
        await self._change(self.session_state.flush)

    async def close(self) -> None:
        """Speak the rest of the text, then report that everything has been spoken."""
        await self._change(self.session_state.close)

    async def _change(self, change: Callable[[], None]) -> None:
        """Change the text, which takes the front-end a moment, and submit what is complete."""
        self._busy_at, self._received_at = time.monotonic(), time.perf_counter()
        if self._flushing is not None:
            self._flushing.cancel()
        # Shielded: if the connection ends meanwhile, a text that is half processed must not be stored.
        try:
            await asyncio.shield(_task(self._apply(change)))
        finally:  # what was there before a text that is refused is spoken, too
            self._flushing = _task(self._flush_later())
        await self._submit()
        await self._report_done()

    async def _flush_later(self) -> None:
        """Speak a text that ends like a sentence, unless more of it comes soon."""
        seconds = await asyncio.to_thread(lambda: self.session_state.flush_seconds)
        if seconds is None:
            return
        await asyncio.sleep(seconds)
        await asyncio.shield(_task(self._apply(self.session_state.flush)))
        await self._submit()

    async def _apply(self, change: Callable[[], None]) -> None:
        async with self._lock:
            await asyncio.to_thread(change)
            await self.save()

    async def cancel(self) -> None:
        """Cancel everything that has not been sent."""
        self._busy_at = time.monotonic()
        if self._sending is not None:
            self._sending.cancel()  # the lock is held while Redis does not answer
        async with self._lock:
            sending = self._sending
            if sending is not None:
                sending.cancel()
            cancelled = self.session_state.cancel(self._sender.sent if self._sender else self._skip, time.time())
            self._skip, self._retry_at = 0, 0.0
            if sending is not None:
                await asyncio.wait({sending})
            await self.save()
            await self._for_each_job(cancelled, self._state.broker.cancel)

    # Jobs

    async def _submit(self) -> None:
        """Submit jobs for complete text. Shielded, so that the end of the connection does not interrupt it."""
        await asyncio.shield(_task(self._submit_all()))

    async def _submit_all(self) -> None:
        async with self._lock:
            while time.monotonic() >= self._retry_at and (text := self.session_state.take()):
                ahead = self.session_state.current() is not None
                try:
                    await self._submit_one(text)
                except (Overloaded, NotReady) as error:
                    self.session_state.put_back()
                    seconds = int(error.headers["retry-after"])
                    self._retry_at = time.monotonic() + seconds
                    if not ahead:  # else the client is not waiting for it yet
                        await self._sink.failed(error, seconds)
                except AncestralError as error:
                    self.session_state.drop()
                    self._counted = False
                    await self._sink.failed(error.renamed({"input": "text"}))

    async def _submit_one(self, text: str) -> None:
        request = self.session_state.config.request(text, self.session_state.next_seed)
        job_spec = await speech_job_in_thread(self._state, request)
        plan = replace(job_spec.plan, times_before_sound=True)
        job_spec = replace(job_spec, plan=plan)
        with redis_errors():
            if not self._counted:  # not again when there was no room for it
                await self._state.count_request(self._caller)
            self._counted = True
            job = await submit_job(self._state, self._caller, job_spec, prefer=None, key=None)
        self._counted = False
        is_first = self.session_state.current() is None
        estimate = round(job_spec.seconds * self.sample_rate)
        self.session_state.add_utterance(job.id, len(plan.sentences), estimate, plan.skipped)
        if is_first:
            self._requested = self.session_state.utterances[-1].number, self._received_at
        self._work.set()
        if not await self.save():
            await self._state.broker.cancel(job)

    async def _for_each_job(self, utterances: list[Turn], action: Callable[[Job], Awaitable[object]]) -> None:
        """Call ``action`` with the job of each utterance, if it still exists."""
        for utterance in utterances:
            with suppress(*UNAVAILABLE):
                if (job := await self._state.broker.job(utterance.job_id)) is not None:
                    utterance.estimate = self._resampled(job.samples_total or 0) or utterance.estimate
                    await action(job)

    # Audio

    async def rewind(self, sample: int) -> None:
        """Continue from a sample of the session.

        Raises:
            InvalidRequest: the sample has expired, or does not exist yet.
        """
        self._skip = self.session_state.rewind(sample)
        self._work.set()
        self._flushing = _task(self._flush_later())
        await self._keep_jobs_alive()
        await self._report_done()

    async def send_utterances(self) -> None:
        """Send utterances one after another until cancelled.

        Raises:
            CloseConnection: the client does not read.
            Disconnected: the client has disconnected.
        """
        while True:
            await self._work.wait()
            self._work.clear()
            while (utterance := self.session_state.current()) is not None:
                await self._send_utterance(utterance)
            await self._report_done()

    async def _send_utterance(self, utterance: Turn) -> None:
        config, skip = self.session_state.config, self._skip
        self._skip = 0
        self._sender = sender = UtteranceSender(self._sink, utterance, self.sample_rate, config.response_format, skip)
        self._sending = sending = _task(self._send_audio(utterance, sender))
        try:
            await asyncio.wait({sending})
        except asyncio.CancelledError:
            sending.cancel()
            await asyncio.wait({sending})
            raise
        async with self._lock:  # a text that is half processed must not be stored
            self._sending = self._sender = None
            if utterance.cancelled:
                return
            sending.result()
            self._busy_at, self._retry_at = time.monotonic(), 0.0
            self.session_state.end_utterance(sender.sent, time.time(), self._state.settings.stream_seconds)
            await self.save()
        await self._submit()

    async def _send_audio(self, utterance: Turn, sender: UtteranceSender) -> None:
        form = self.session_state.config.response_format
        try:
            job = await self._job(utterance)
            self.reader = reader = AudioReader(self._state.broker, job, plan_of(job, Utterance), self._model)
            source = encoded(reader, form, self.sample_rate, tagged=self._tagged)
            async with aclosing(track_playback(source, self._playback(utterance), sender.seconds)) as pieces:
                async for piece in pieces:
                    await sender.send(piece, self._resampled(reader.samples))
            await sender.end(self._resampled(reader.samples))
        except AncestralError as error:
            await self._sink.failed(error)

    async def times(self, utterance: Turn) -> list[SentenceTimes]:
        """The sentences of an utterance and when they are said, in samples at the rate of the session."""
        return await self.timeline(await self._job(utterance)).all()

    def timeline(self, job: Job) -> Timeline:
        """The same of the utterance of this job, as far as they are known."""
        model_rate = self._model.spec.sample_rate
        return Timeline(self._state.broker, job, plan_of(job, Utterance), model_rate, self.sample_rate)

    def _playback(self, utterance: Turn) -> Playback:
        """Measures the playback of an utterance, which starts when that of the one before has ended."""
        before, (number, at) = self._listener, self._requested
        asked_at = at if number == utterance.number else None
        busy_until = before.dry_at if before is not None and before.dry_at is not None else 0.0
        observer = self._state.metrics.listener(Transport.WEBSOCKET, self._model.entry.id)
        self._listener = Playback(observer, asked_at, busy_until)
        return self._listener

    async def _job(self, utterance: Turn) -> Job:
        with redis_errors():
            job = await self._state.broker.patient_job(utterance.job_id)
        if job is None:
            raise NotFound("The sound of this utterance has expired.", code="content_expired")
        return job

    def _resampled(self, samples: int) -> int:
        return resampled_length(samples, self._model.spec.sample_rate, self.sample_rate)

    # Maintenance

    async def maintain(self) -> None:
        """Twice a second: submit what there was no room for, keep the jobs and the session alive.

        Raises:
            IdleTimeout: the session was idle for too long.
            CloseConnection: another connection has the session.
        """
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._flushing is not None and self._flushing.done() and not self._flushing.cancelled():
                self._flushing.result()  # it may have closed the connection
            await self._submit()
            await self._report_done()
            async with self._lock:  # before jobs are kept alive: another connection may have suspended them
                with suppress(*UNAVAILABLE):
                    if self._stored is not None and not await self._stored.renew(self.session_state.dump):
                        raise CloseConnection(TAKEN_OVER, "session resumed on another connection")
            if self.session_state.current() is not None:
                self._busy_at = time.monotonic()
                await self._keep_jobs_alive()
            elif time.monotonic() - self._busy_at > self._idle_seconds:
                raise IdleTimeout(1000, "idle timeout")

    async def _keep_jobs_alive(self) -> None:
        """Resume suspended jobs, whatever waits in their queue: a session has no more than two. Keep
        those of a caller who may have no more, and tell workers that the client is still connected."""
        broker = self._state.broker  # asked again soon
        await self._for_each_job(self.session_state.outstanding, lambda job: broker.acknowledge(job, 0, patience=0.0))

    async def _report_done(self) -> None:
        async with self._lock:
            if not self.session_state.report_done():
                return
            await self.save()
        await self._sink.finished()

    async def save(self) -> bool:
        """Store the session. False if another connection has it."""
        with suppress(*UNAVAILABLE):
            return self._stored is None or await self._stored.save(self.session_state.dump())
        return True

    async def on_disconnect(self, *, keep: bool) -> None:
        """The connection has ended: suspend the session's jobs so that it can be resumed (``keep``), or end it."""
        if self._flushing is not None:
            self._flushing.cancel()
        async with self._lock:
            with suppress(*UNAVAILABLE):
                if self._stored is None:
                    keep = False
                elif not await (self._stored.release(self.session_state.dump) if keep else self._stored.end()):
                    return
            broker = self._state.broker
            await self._for_each_job(self.session_state.outstanding, broker.suspend if keep else broker.cancel)


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task whose exception is ignored if nothing awaits it any more."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return task
