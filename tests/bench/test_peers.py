"""The bench beside other synthesisers: our own rows, and what the targets make of all."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.peers import KOKORO, OURS, PIPER, Row, targets
from tests.paths import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("system", OURS)
def test_a_system_is_measured_in_a_process_of_its_own(system: str) -> None:
    command = [sys.executable, "-m", "bench.peers", system]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    row = Row(**json.loads(done.stdout))
    assert row.system == system
    assert row.times_real_time == pytest.approx(1000 / row.processor_ms_a_second, rel=0.02)
    assert (row.first_sound_ms is None) == (system == OURS[2])
    assert row.megabytes > 100


@pytest.mark.parametrize(("ours", "met"), [(18.0, [True, True]), (17.9, [False, True]), (9.9, [False, False])])
def test_targets_are_multiples_of_the_others_speed(ours: float, met: list[bool]) -> None:
    speeds = {PIPER: 12.0, KOKORO: 1.0, OURS[2]: ours}
    assert [target.met for target in targets([Row(name, x, 1.0, None, 1) for name, x in speeds.items()])] == met
