"""Speech beside other synthesisers on the same machine: ``python -m bench.peers``.

Each system speaks the same sentences in a process of its own with one thread: Piper (joe, medium, 22.05 kHz),
Kokoro-82M in int8 (heart, 24 kHz), and joe here (16 kHz), from text to sound. The others begin with phonemes and give a
sentence at once, so their first sound comes with the last. It needs the extra ``gpl-teacher`` and, for Kokoro's
packages, the network. Run nothing else meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.wavenet import MEDIUM, WaveNetSpec
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.spec import FeatureSpec
from ancestral_models.text import phonemize
from bench.engines import measure
from bench.report import Target, at_least, report
from tests.random_weights import lively_checkpoint

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "Your order has been shipped and should arrive on Thursday.",
    "Could you please say that again, a little more slowly?",
    "It was a bright cold day in April, and the clocks were striking.",
    "Yes, absolutely.",
    "Rice is often served in round bowls, and the juice of lemons makes fine punch.",
    "Four hours of steady work faced us before the rain began to fall.",
    "The lazy cow lay in the cool grass while the hogs were fed.",
)
OURS = ("S, joe, int8", "S, joe, int8, four sentences together")
MEDIUM_NAME = "M, int8, four together, network alone (random weights)"
PIPER, KOKORO = "Piper, joe, medium", "Kokoro-82M, heart, int8"
SYSTEMS = (PIPER, KOKORO, *OURS, MEDIUM_NAME)

Speak = Callable[[str], Iterator[NDArray[np.float32]]]


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    system: str
    times_real_time: float
    """Seconds of speech for each second of processor time."""
    processor_ms_a_second: float
    first_sound_ms: float | None
    """Median over the sentences, warm."""
    megabytes: int
    """Resident at the peak."""


def _peer(name: str) -> tuple[Speak, int]:
    """A teacher of the corpora, and its sample rate."""
    from ancestral_training.corpora.teachers import RATE, Joe, Kokoro

    teacher = Kokoro("af_heart") if name == KOKORO else Joe()

    def speak(text: str) -> Iterator[NDArray[np.float32]]:
        (sentence,) = phonemize(text)
        yield teacher.speak(sentence)[0]

    return speak, RATE if name == KOKORO else teacher.speak(phonemize("Yes.")[0])[1]


def _ours() -> tuple[Speak, int]:
    import ancestral

    voice = ancestral.load().voice("joe")
    return lambda text: iter(voice.speak(text, seed=1)), voice.sample_rate


def _together() -> tuple[float, float]:
    """Seconds of speech and of the processor, several sentences in each call of the kernel."""
    import ancestral

    voice = ancestral.load().voice("joe")
    for _ in range(2):  # the first warms up
        began = time.process_time()
        spoken = list(voice.speak_many([voice.utterance(text, seed=1) for text in SENTENCES * 4]))
        used = time.process_time() - began
    return sum(speech.duration for _, speech in spoken), used


def _alone(speak: Speak, rate: int) -> tuple[float, float, float]:
    """Seconds of speech and of the processor over all sentences; median milliseconds to the first sound."""
    firsts, samples = [], 0
    for text in SENTENCES[:2]:
        list(speak(text))
    began = time.process_time()
    for text in SENTENCES:
        asked = time.perf_counter()
        chunks = speak(text)
        samples += len(next(chunks))
        firsts.append(1e3 * (time.perf_counter() - asked))
        samples += sum(len(chunk) for chunk in chunks)
    return samples / rate, time.process_time() - began, statistics.median(firsts)


def measured(system: str) -> Row:
    """The row of one system, which nothing else in this process has warmed up."""
    first = None
    if system == MEDIUM_NAME:
        conditioned: dict[str, Any] = {"speakers": ("one",), "local_channels": FeatureSpec().channels}
        engine = NativeEngine(lively_checkpoint(WaveNetSpec(**(conditioned | MEDIUM))))
        rate = measure("M", engine, 4, 8000, None).samples_per_cpu_second
        seconds, used = rate / engine.spec.sample_rate, 1.0
    elif system == OURS[1]:
        seconds, used = _together()
    else:
        seconds, used, first = _alone(*(_ours() if system in OURS else _peer(system)))
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    return Row(
        system, round(seconds / used, 2), round(1e3 * used / seconds, 1), first and round(first, 1), peak // 1024
    )


def targets(rows: list[Row]) -> list[Target]:
    """What S in int8 is asked to be beside the others."""
    speed = {row.system: row.times_real_time for row in rows}
    found = [
        ("times Piper", 1.5, speed[OURS[1]] / speed[PIPER]),
        ("times Kokoro", 10.0, speed[OURS[1]] / speed[KOKORO]),
    ]
    return at_least((f"S int8, four together, {name}", wanted, got) for name, wanted, got in found)


def main() -> None:
    """Measure each system in a process of its own, then print the tables and the JSON."""
    if len(sys.argv) > 1:
        print(json.dumps(asdict(measured(sys.argv[1]))))
        return
    one = os.environ | {"OMP_NUM_THREADS": "1"}
    rows = []
    for system in SYSTEMS:
        done = subprocess.run(
            [sys.executable, "-m", "bench.peers", system], env=one, stdout=subprocess.PIPE, check=True
        )
        rows.append(Row(**json.loads(done.stdout.splitlines()[-1])))
    report("Speech on one thread", rows, targets=targets(rows))


if __name__ == "__main__":
    main()
