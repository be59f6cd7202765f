"""Time to first audio, and underruns caused by the server, computed from the audio that has been sent.

A simulated player starts :data:`BUFFER_SECONDS` after the first audio was sent and plays without pause. If it has
played everything before the next chunk comes from the worker, that is an underrun: silence until the chunk arrives.
Silence that a client causes by not reading does not count; only time spent waiting for the worker does.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

BUFFER_SECONDS = 0.2
"""Audio that a player buffers before it starts; :mod:`bench.listeners` uses the same."""


class PlaybackObserver(Protocol):
    """Receives the measurements of one stream."""

    def began(self, seconds: float | None) -> None:
        """The first audio has been sent, ``seconds`` after the request; None if no listener was waiting for it."""

    def silence(self, seconds: float, *, first: bool) -> None:
        """An underrun of this length has ended; ``first``: the first one of this stream."""


class Playback:
    """The playback of one audio stream.

    Args:
        observer: receives the measurements.
        asked_at: when the listener started to wait, by ``clock``; None if no listener is waiting.
        busy_until: when the player will have played the streams before this one.
        clock: returns seconds.
    """

    def __init__(
        self,
        observer: PlaybackObserver,
        asked_at: float | None,
        busy_until: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.dry_at: float | None = None
        """When the player will have played everything sent so far; None before the first audio."""
        self._observer = observer
        self._asked_at = asked_at
        self._busy_until = busy_until
        self._clock = clock
        self._sent = 0.0
        self._had_underrun = False

    def chunk_received(self) -> None:
        """A chunk has come from the worker, or the stream has ended without one."""
        if self.dry_at is None:
            return
        now = self._clock()
        if now > self.dry_at:
            self._observer.silence(now - self.dry_at, first=not self._had_underrun)
            self._had_underrun, self.dry_at = True, now

    def chunk_sent(self, seconds: float) -> None:
        """The chunk has been sent, ``seconds`` of audio in all; waiting for the next one starts."""
        if seconds <= self._sent:
            return
        now = self._clock()
        if self.dry_at is None:
            self._observer.began(None if self._asked_at is None else now - self._asked_at)
            self.dry_at = max(now + BUFFER_SECONDS, self._busy_until)
        # If the buffer ran empty while the chunk was being sent, the client caused the silence by reading slowly.
        self.dry_at = max(self.dry_at, now) + seconds - self._sent
        self._sent = seconds


async def track_playback(
    pieces: AsyncGenerator[bytes, None], playback: Playback, position: Callable[[], float]
) -> AsyncGenerator[bytes, None]:
    """Pass chunks of audio through and track their playback.

    Args:
        pieces: chunks of audio. Each counts as sent when the next one is requested.
        playback: of the listener.
        position: returns the seconds of audio sent so far.
    """
    async with aclosing(pieces):
        while True:
            try:
                piece = await anext(pieces, None)
            except BaseException:  # the client disconnected while waiting, or there is an error instead of audio
                playback.chunk_received()
                raise
            if piece is None:
                return
            playback.chunk_received()
            yield piece
            playback.chunk_sent(position())
