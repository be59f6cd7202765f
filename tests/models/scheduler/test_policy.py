"""Whose turn it is, by a clock that is turned by hand."""

import itertools

import pytest

from ancestral.models.scheduler import SlotState, choose
from tests.models.scheduler.support import Solo, engine

FOUR, ONE = engine(), engine(make=Solo)


def state(made=ONE, *, realtime=True, since=0.0, out=0.0, weights=None):
    """A slot whose listener runs out of sound at ``out``."""
    return SlotState(made, 16000, realtime, weights, since, out)


def test_the_listener_who_runs_dry_first_is_served_first():
    states = [state(out=10.4), state(out=10.1), state(out=9.7), state(out=10.2)]
    assert choose(states, 1, 10.0) == [2]
    states[2].serve(10.0, 16000 // 4)
    assert choose(states, 1, 10.0) == [1]
    assert choose([state(out=1.0), state(out=1.0)], 1, 1.0) == [0], "of slots as urgent the earlier"


@pytest.mark.parametrize(("waits_since", "first"), [(9.4, 0), (9.6, 1)])
def test_a_listener_with_a_second_in_hand_takes_turns_with_the_rest(waits_since, first):
    ahead = state(out=11.01, since=9.5)
    rest = state(realtime=False, since=waits_since)
    assert choose([rest, ahead], 1, 10.0) == [first]
    assert choose([rest, ahead], 1, 10.02) == [1]  # not a second any more


def test_a_slot_without_a_turn_for_two_seconds_gets_one():
    late, patient = state(out=3.0), state(realtime=False, since=8.0)
    assert choose([late, patient], 1, 9.99) == [0]
    assert choose([late, patient], 1, 10.0) == [1]
    patient.serve(10.0, 800)
    assert choose([late, patient], 1, 10.0) == [0]


def test_who_listens_goes_before_who_does_not_and_never_ages():
    """One who is far ahead has not been waiting, however long ago the last turn was."""
    assert choose([state(realtime=False, since=8.1), state(out=11.0)], 1, 10.0) == [1]
    assert choose([state(out=100.0, since=0.0), state(out=50.5)], 1, 50.0) == [1]


def test_time_without_anything_to_sample_is_no_debt():
    paused, steady = state(out=2.0), state(out=9.9)
    paused.wake(10.0)
    assert paused.runs_out_at == 10.0
    assert choose([paused, steady], 1, 10.0) == [1]
    ahead = state(out=10.7)
    ahead.wake(10.0)
    assert ahead.runs_out_at == 10.7
    batch = state(realtime=False, since=1.0)
    batch.wake(10.0)
    assert choose([batch, steady], 1, 10.0) == [1]


def test_who_ran_dry_goes_on_from_the_next_sound():
    late = state(out=3.0)
    late.serve(10.0, 1600)
    assert late.runs_out_at == pytest.approx(10.1)
    late.serve(10.05, 1600)
    assert late.runs_out_at == pytest.approx(10.2)


@pytest.mark.parametrize(
    ("ready", "idle", "lanes"),
    [(1, 2, 1), (2, 2, 1), (3, 2, 3), (2, 1, 2), (5, 2, 4), (8, 2, 4), (30, 1, 4), (1, 4, 1)],
)
def test_slots_run_alone_while_there_are_threads_and_then_share_full_calls(ready, idle, lanes):
    assert choose([state(FOUR, out=float(-i)) for i in range(ready)], idle, 0.0) == list(range(ready))[::-1][:lanes]


def test_an_engine_gets_no_more_lanes_than_it_has_and_none_of_anothers():
    assert choose([state(ONE, out=1.0) for _ in range(9)], 1, 0.0) == [0]
    mixed = [state(FOUR, out=0.3), state(ONE, out=0.2), state(FOUR, out=0.1), state(FOUR, out=0.2)]
    assert choose(mixed, 1, 0.0) == [2, 3, 0]
    voices = [state(FOUR, out=number / 10, weights=name) for number, name in enumerate(["men", "women", "men"])]
    assert choose(voices, 1, 0.0) == [0, 2], "and none of other weights"


def test_the_first_chunks_are_short():
    def sizes(rate, chunk_ms):
        wishes = []
        slot = SlotState(ONE, rate, True)
        for _ in range(4):
            wishes.append(slot.chunk_size(chunk_ms))
            slot.serve(0.0, wishes[-1])
        return wishes

    assert sizes(16000, 50) == [320, 640, 800, 800]
    assert sizes(16000, 30) == [320, 480, 480, 480]
    assert sizes(16000, 10) == [160] * 4
    assert sizes(1, 50) == [1] * 4


def simulate(states, seconds, speed):
    """One thread that makes sound ``speed`` times as fast as it plays, a chunk a turn.

    Returns:
        For every slot the times of its turns' ends, and how long its listener had had nothing to hear by then.
    """
    now = 0.0
    turns = {slot: [] for slot in states}
    while now < seconds:
        (taken,) = choose(states, 1, now)
        slot = states[taken]
        symbols = slot.chunk_size(50)
        now += symbols / slot.rate / speed
        turns[slot].append((now, max(0.0, now - slot.runs_out_at)))
        slot.serve(now, symbols)
    return turns


def longest_gap(turns):
    return max(later[0] - earlier[0] for earlier, later in itertools.pairwise([(0.0, 0.0), *turns]))


def test_no_listener_runs_dry_as_long_as_there_is_time_for_all():
    listeners, rest = [state() for _ in range(3)], [state(realtime=False) for _ in range(5)]
    turns = simulate([*rest, *listeners], seconds=30.0, speed=5.0)
    for slot in listeners:
        assert turns[slot][0][0] < 0.02
        # All three begin at once, with short chunks; a little later none ever waits.
        assert [late for now, late in turns[slot] if now > 0.5 and late > 0.0] == []
    assert len(turns[rest[0]]) > 100
    assert max(len(turns[slot]) for slot in rest) - min(len(turns[slot]) for slot in rest) <= 2


def test_nobody_starves_when_there_is_not():
    listeners, rest = [state() for _ in range(9)], [state(realtime=False) for _ in range(5)]
    turns = simulate([*listeners, *rest], seconds=30.0, speed=5.0)
    assert all(longest_gap(turns[slot]) < 2.2 for slot in rest)
    assert all(longest_gap(turns[slot]) < 0.2 for slot in listeners)


def test_a_newcomer_is_heard_soon_however_late_the_others_are():
    others = [state() for _ in range(9)]
    simulate(others, seconds=30.0, speed=5.0)
    now = max(slot.since for slot in others)
    newcomer = state()
    newcomer.wake(now)
    turns = 0
    while (chosen := choose([*others, newcomer], 1, now)) != [9]:
        now += 0.01
        others[chosen[0]].serve(now, 800)
        turns += 1
    assert turns <= 9
