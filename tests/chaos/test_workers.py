"""Workers die, stop, and come back from the dead: every job goes on from where it was."""

from __future__ import annotations

import signal
import time

import pytest

from tests.chaos.support import House, eventually, work

pytestmark = pytest.mark.slow


def test_a_worker_is_killed(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        held = [job for job in under_way.ids]
        one.kill()
        start = time.monotonic()
        took = eventually(lambda: sum(house.attempt(job) > 1 for job in held) >= 5, seconds=30)
        print("again after", took, time.monotonic() - start)
        assert under_way.finish() == expected
        print([house.begins(job) for job in held])
    house.check_that_nothing_is_left()
