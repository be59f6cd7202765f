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


def test_the_first_sound_counts_from_the_request_until_it_has_been_sent() -> None:
    notes, _ = play([(0.3, 0.05, 1.0), (0.1, 0.0, 1.0)])
    assert notes.first == [pytest.approx(0.35)]
    assert notes.gaps == []


def test_a_header_is_no_sound() -> None:
    notes, _ = play([(0.1, 0.0, 0.0), (0.4, 0.0, 1.0)])
    assert notes.first == [pytest.approx(0.5)]


def test_nobody_waited_for_it() -> None:
    assert play([(0.3, 0.0, 1.0)], asked_at=None)[0].first == [None]


def test_the_silence_is_what_the_player_had_nothing_for() -> None:
    # One second of sound and the buffer are played 1.2 s after it was sent; the next piece comes after 2 s.
    notes, playback = play([(0.0, 0.0, 1.0), (2.0, 0.0, 0.5), (0.7, 0.0, 0.5)])
    assert notes.gaps == [(pytest.approx(2.0 - 1.0 - BUFFER_SECONDS), True), (pytest.approx(0.2), False)]
    assert playback.dry_at == pytest.approx(100.0 + 2.0 + 0.5 + 0.2 + 0.5)


def test_a_client_that_does_not_read_makes_its_own_silence() -> None:
    notes, _ = play([(0.0, 0.0, 1.0), (0.1, 10.0, 1.0), (0.9, 0.0, 1.0)])
    assert notes.gaps == []  # for 10 s the client took nothing; then it had a second, and waited 0.9 s


def test_but_waits_from_then_on() -> None:
    notes, _ = play([(0.0, 0.0, 1.0), (0.1, 10.0, 0.5), (0.9, 0.0, 1.0)])
    assert notes.gaps == [(pytest.approx(0.4), True)]


def test_what_came_before_is_heard_first() -> None:
    late = [(0.0, 0.0, 0.1), (3.0, 0.0, 1.0)]
    assert play(late, busy_until=105.0)[0].gaps == []
    assert play(late, busy_until=101.0)[0].gaps == [(pytest.approx(1.9), True)]


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
