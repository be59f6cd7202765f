"""Durations of phonemes in frames, from the times that a teacher or an aligner says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ancestral.models.text.phonemes import is_pause

_SHORTEST_PHONE, _SHORTEST_PAUSE = 2, 5
"""Fewest frames of a phone and of a pause, where a pause is set to its silence."""


def frame_durations(seconds: Sequence[float], begin: float, frames: int, frame_seconds: float) -> tuple[int, ...]:
    """Durations on the frame grid of a clip trimmed to ``begin`` … ``begin + frames * frame_seconds``.

    Rounding is done on the boundaries, so that errors never add up; what was trimmed comes off the outer phonemes.
    """
    edges = np.cumsum([0.0, *seconds]) - begin
    grid = np.clip(np.round(edges / frame_seconds), 0, frames).astype(int)
    grid[0], grid[-1] = 0, frames
    return tuple(int(d) for d in np.diff(grid))


def pauses_of_silence(phones: Sequence[str], durations: Sequence[int], sounding: NDArray[np.bool_]) -> tuple[int, ...]:
    """Durations of which a pause has the whole silence: teachers give some of it to the phoneme before the pause.

    Args:
        phones: of a clip.
        durations: of each, in frames.
        sounding: which frames are no silence, ``[sum(durations)]``.
    """
    edges = np.cumsum([0, *durations])
    for i in range(1, len(phones)):
        if is_pause(phones[i]):
            first = edges[i - 1] + _SHORTEST_PHONE
            bounds = np.flatnonzero(np.diff(sounding[first : edges[i + 1]], prepend=True, append=True))
            runs = bounds.reshape(-1, 2)
            begin, end = max(runs.tolist(), key=lambda run: run[1] - run[0], default=(0, 0))
            if end - begin >= _SHORTEST_PAUSE:
                edges[i] = first + begin + 1
    return tuple(int(d) for d in np.diff(edges))
