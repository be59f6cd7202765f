"""Faults that an ear would notice at once, in many clips of every voice: ``python -m bench.artefacts 84``.

Counts clips with clicks, clipped samples, a silence of over a second inside, or sound after the last phoneme. The
argument is the number of clips a voice. Needs the extra ``train``.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ancestral import load
from ancestral.speech.decoder import Wave
from bench.word_times import MODEL, SENTENCES

RATE, FRAME = 16000, 160
_CLIPPED = 32767 / 32768
_STEP, _TIMES, _AROUND = 0.1, 12.0, 160
"""A click is a step from one sample to the next of this size, and of so many times the rms of those around it."""
_SILENT = 0.003
"""The rms of a silent frame."""
_RELEASE_SECONDS = 0.06
"""A last sound may end so long after its phoneme, as planned."""


def clicks(wave: Wave) -> int:
    """Steps between samples that stand out from those within 10 ms. Consonants of recordings reach ten times them."""
    steps = np.abs(np.diff(wave, prepend=wave[:1]))
    energy = sliding_window_view(np.pad(steps.astype(np.float64) ** 2, _AROUND), 2 * _AROUND + 1).sum(axis=1)
    around = np.sqrt(np.maximum(energy - steps**2, 0.0) / (2 * _AROUND))
    return int(((steps > _STEP) & (steps > _TIMES * around)).sum())


def levels(wave: Wave) -> Wave:
    """The rms of every 10 ms."""
    return np.asarray(np.sqrt((wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(axis=1)))


def longest_silence(wave: Wave) -> float:
    """The longest silence between the first and the last sound, in seconds."""
    sounding = np.flatnonzero(levels(wave) >= _SILENT)
    return float(np.diff(sounding).max(initial=1) - 1) * FRAME / RATE


def faults(wave: Wave, end: int) -> list[str]:
    """What is wrong with a clip whose last phoneme is planned to end at sample ``end``."""
    tail = levels(wave[end + round(_RELEASE_SECONDS * RATE) :])
    found = {
        "click": clicks(wave) > 0,
        "clipped": bool((np.abs(wave) >= _CLIPPED).any()),
        "silence": longest_silence(wave) > 1.0,
        "tail": bool(len(tail)) and float(tail.max()) > 0.1 * float(wave.std()),
    }
    return [name for name, there in found.items() if there]


def main(count: int) -> None:
    """Print a row of counts for every voice."""
    model = load(MODEL)
    print("| voice | clips | click | clipped | silence over 1 s | sound after the end |\n|---|---|---|---|---|---|")
    for name in model.voices:
        counts = Counter[str]()
        for seed in range(count):
            speech = model.voice(name).speak(SENTENCES[seed % len(SENTENCES)], seed=seed)
            counts.update(faults(speech.samples, round(speech.phonemes[-1].end * speech.sample_rate)))
        found = " | ".join(str(counts[fault]) for fault in ("click", "clipped", "silence", "tail"))
        print(f"| {name} | {count} | {found} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
