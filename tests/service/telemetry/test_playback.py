"""What a listener hears, by a clock of our own: exactly the silence that there was, and none that the client made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

import pytest

from ancestral.service.telemetry.playback import BUFFER_SECONDS, Playback, track_playback


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.first: list[float | None] = []
        self.gaps: list[tuple[float, bool]] = []

    def began(self, seconds: float | None) -> None:
        self.first.append(seconds)

    def silence(self, seconds: float, *, first: bool) -> None:
        self.gaps.append((round(seconds, 6), first))


def play(
    events: Iterable[tuple[float, float, float]], asked_at: float | None = 100.0, busy_until: float = 0.0
) -> tuple[Notes, Playback]:
    """Pieces: seconds after the one before when it came, seconds that sending took, seconds of sound in it."""
    notes, clock = Notes(), Clock()
    playback, total = Playback(notes, asked_at, busy_until, clock), 0.0
    for late, sending, sound in events:
        clock.now += late
        playback.chunk_received()
        clock.now += sending
        total += sound
        playback.chunk_sent(total)
    return notes, playback


LATE = [(0.0, 0.0, 0.1), (3.0, 0.0, 1.0)]
WAITED = BUFFER_SECONDS


@pytest.mark.parametrize(
    ("events", "busy_until", "first", "gaps"),
    [
        ([(0.3, 0.05, 1.0), (0.1, 0.0, 1.0)], 0.0, 0.35, []),  # counts until it has been sent
        ([(0.1, 0.0, 0.0), (0.4, 0.0, 1.0)], 0.0, 0.5, []),  # a header is no sound
        # One second of sound and the buffer are played 1.2 s after it was sent; the next piece comes after 2 s.
        ([(0.0, 0.0, 1.0), (2.0, 0.0, 0.5), (0.7, 0.0, 0.5)], 0.0, 0.0, [(1.0 - WAITED, True), (0.2, False)]),
        # For 10 s the client took nothing; then it had a second, and waited 0.9 s.
        ([(0.0, 0.0, 1.0), (0.1, 10.0, 1.0), (0.9, 0.0, 1.0)], 0.0, 0.0, []),
        ([(0.0, 0.0, 1.0), (0.1, 10.0, 0.5), (0.9, 0.0, 1.0)], 0.0, 0.0, [(0.4, True)]),
        (LATE, 105.0, 0.0, []),  # what came before is heard first
        (LATE, 101.0, 0.0, [(1.9, True)]),
    ],
)
def test_the_silence_is_what_the_player_had_nothing_for(
    events: list[tuple[float, float, float]], busy_until: float, first: float, gaps: list[tuple[float, bool]]
) -> None:
    notes, playback = play(events, busy_until=busy_until)
    assert notes.first == [pytest.approx(first)]
    assert notes.gaps == [(pytest.approx(seconds), is_first) for seconds, is_first in gaps]
    if len(gaps) == 2:
        assert playback.dry_at == pytest.approx(100.0 + 2.0 + 0.5 + 0.2 + 0.5)


def test_nobody_waited_for_it() -> None:
    assert play([(0.3, 0.0, 1.0)], asked_at=None)[0].first == [None]


def test_the_last_silence_counts_if_the_sound_never_comes() -> None:
    async def pieces(clock: Clock) -> AsyncGenerator[bytes, None]:
        yield b"sound"
        clock.now += 5.0
        raise ConnectionError

    async def listen() -> list[tuple[float, bool]]:
        notes, clock = Notes(), Clock()
        with pytest.raises(ConnectionError):
            async for _ in track_playback(pieces(clock), Playback(notes, None, 0.0, clock), lambda: 1.0):
                pass
        return notes.gaps

    assert asyncio.run(listen()) == [(pytest.approx(4.0 - BUFFER_SECONDS), True)]


def test_what_passes_is_not_changed() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for number in range(3):
            yield bytes([number])

    async def listen() -> bytes:
        return b"".join([piece async for piece in track_playback(pieces(), Playback(Notes(), 0.0), lambda: 1.0)])

    assert asyncio.run(listen()) == b"\0\1\2"
