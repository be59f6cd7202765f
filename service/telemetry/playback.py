"""What a listener hears, by what has been sent: how soon it begins, and where it falls silent because nothing had come.

The listener's player begins :data:`BUFFER_SECONDS` after the first sound has been sent, and plays without a pause. When
it has played everything before the next piece comes from the worker, that is an underrun: silence, until the piece is
there. A client that does not take what is there makes a silence of its own, which does not count: only time that was
spent waiting for sound does.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

BUFFER_SECONDS = 0.2
"""What a player holds before it starts; what :mod:`bench.listeners` plays with."""


class PlaybackObserver(Protocol):
    """Who is told."""

    def began(self, seconds: float | None) -> None:
        """The first sound has been sent, so long after it was asked for; None if nobody waited for it."""

    def silence(self, seconds: float, *, first: bool) -> None:
        """An underrun is over; ``first`` of this stream."""


class Playback:
    """One stream of sound on its way to its listener.

    Args:
        observer: is told.
        asked_at: when the listener began to wait, by ``clock``; None if it does not.
        busy_until: when it will have track_playback what came before this stream.
        clock: in seconds.
    """

    def __init__(
        self,
        observer: PlaybackObserver,
        asked_at: float | None,
        busy_until: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.dry_at: float | None = None
        """When everything that has been sent will have been played; None before there was any sound."""
        self._observer = observer
        self._asked_at = asked_at
        self._busy_until = busy_until
        self._clock = clock
        self._sent = 0.0
        self._fell_silent = False

    def came(self) -> None:
        """A piece has come from the worker, or it is certain that none will."""
        if self.dry_at is None:
            return
        now = self._clock()
        if now > self.dry_at:
            self._observer.silence(now - self.dry_at, first=not self._fell_silent)
            self._fell_silent, self.dry_at = True, now

    def went(self, seconds: float) -> None:
        """The piece has been sent, and with it so much sound in all; the next one is waited for."""
        if seconds <= self._sent:
            return
        now = self._clock()
        if self.dry_at is None:
            self._observer.began(None if self._asked_at is None else now - self._asked_at)
            self.dry_at = max(now + BUFFER_SECONDS, self._busy_until)
        # Had it run dry while the piece was on its way, the client would have made that silence itself.
        self.dry_at = max(self.dry_at, now) + seconds - self._sent
        self._sent = seconds


async def track_playback(
    pieces: AsyncGenerator[bytes, None], playback: Playback, position: Callable[[], float]
) -> AsyncGenerator[bytes, None]:
    """The same pieces, listened to.

    Args:
        pieces: of sound. Each counts as sent when the next is asked for.
        playback: of their listener.
        position: seconds of sound in all that has been sent.
    """
    async with aclosing(pieces):
        while True:
            try:
                piece = await anext(pieces, None)
            except BaseException:  # the client left while it waited, or there is an error instead of the sound
                playback.came()
                raise
            if piece is None:
                return
            playback.came()
            yield piece
            playback.went(position())
