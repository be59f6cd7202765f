"""Listens to what ``bench/clients/speak.py`` has written: are the words the right ones, and their times inside?

``python -m bench.clients.hear FOLDER``, with the extras ``train`` and ``evaluate``. Prints a line per client and
exits with 1 if a client was misheard or its times are wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from ancestral.training.evaluation.listener import Listener
from ancestral.training.evaluation.speech import RATE, error_rates

MAX_WORD_ERROR_RATE = 0.2


def are_right(figures: dict[str, Any]) -> bool:
    """Whether words begin one after another, and inside the sound where they are counted from its start."""
    starts = [start for _, start in figures["words"]]
    inside = figures["clock"] or not starts or 0 < starts[0] <= starts[-1] < figures["seconds"]
    return inside and all(before < after for before, after in pairwise(starts))


def main() -> int:
    """Listen to all files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    listener, failed = Listener(), False
    for path in sorted(options.folder.glob("*.wav")):
        figures: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        if not figures["seconds"]:
            continue
        wave, rate = soundfile.read(path, dtype="float32")
        heard = listener.transcribe(np.asarray(soxr.resample(wave, rate, RATE), np.float32))
        errors = error_rates([figures["text"]], [heard])["wer"]
        right = errors <= MAX_WORD_ERROR_RATE and are_right(figures)
        failed |= not right
        print(
            f"{path.stem:32} {figures['package']} {figures['version']}: {figures['seconds']:.2f} s, "
            f"{len(figures['words'])} words with times, word error rate {100 * errors:.0f} %"
            f"{'' if right else ' WRONG'}: {heard}"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
