"""How much sound is published at a time."""

from __future__ import annotations

import math
from itertools import chain, repeat

import pytest

from ancestral.service.jobs.publish_pacing import LONGEST_SECONDS, PublishPacing

RATE = 1000


def pieces(speed: float, ahead: float, seconds: float) -> tuple[list[int], float]:
    """The pieces in which ``seconds`` of sound are published that are sampled ``speed`` times as fast as they play, and
    how long their listener heard nothing although something was held back."""
    pacing, now, silence, runs_out, held = PublishPacing(RATE, ahead), 0.0, 0.0, 0.0, list[float]()
    sizes, found = chain((20, 40), repeat(50)), list[int]()
    arrives = 0.0
    while sum(found) < seconds * RATE:
        due = now + max(0.0, pacing.due_in(len(held), now)) if held else math.inf
        if due < arrives:
            now = due
            silence += max(0.0, now - max(runs_out, held[0])) if found else 0.0
            pacing.published(len(held), now)
            runs_out = max(runs_out, now) + len(held) / RATE
            found.append(len(held))
            held = []
        else:
            now = arrives
            size = next(sizes)
            held += [now] * size
            arrives = now + size / RATE / speed
    return found, silence


@pytest.mark.parametrize("speed", [1.1, 2.0, 5.0, 50.0])
def test_pieces_grow_as_the_listener_gets_ahead_and_hold_nobody_up(speed: float) -> None:
    found, silence = pieces(speed, ahead=2.0, seconds=20.0)
    assert found[0] == 20
    assert found == sorted(found)
    assert silence == pytest.approx(0.0)
    assert max(found) <= LONGEST_SECONDS * RATE + 50
    if speed >= 2.0:
        assert found[-1] == LONGEST_SECONDS * RATE
        assert len(found) < 60


def test_a_listener_who_has_nothing_left_gets_what_there_is() -> None:
    pacing = PublishPacing(RATE, 2.0)
    assert pacing.due_in(1, 0.0) <= 0
    pacing.published(1000, 0.0)
    assert pacing.due_in(1, 0.0) == pytest.approx(0.9)
    assert pacing.due_in(1, 0.95) <= 0
    assert pacing.due_in(1, 5.0) <= 0
    pacing.published(1000, 5.0)  # the time in which there was nothing to play is lost
    assert pacing.due_in(1, 5.0) == pytest.approx(0.9)


def test_pieces_are_short_where_little_may_be_sampled_ahead() -> None:
    pacing = PublishPacing(RATE, 0.8)
    pacing.published(800, 0.0)
    assert pacing.due_in(399, 0.0) > 0
    assert pacing.due_in(400, 0.0) <= 0
