"""The frames of models/audio/mel_correction.py, in C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ancestral.models.native import INTEGER, NUMBER, Function, array

if TYPE_CHECKING:
    from ancestral.models.audio.mel_correction import Tables

Floats = NDArray[np.float64]
_FLOATS, _SOUND, _INTEGERS = array("f8"), array("f4"), array("i8")
_CORRECT = Function(
    "correct_frames", _SOUND, _SOUND, INTEGER, INTEGER, _FLOATS, _FLOATS, INTEGER, INTEGER, NUMBER, NUMBER, _FLOATS,
    INTEGER, _FLOATS, _INTEGERS, INTEGER, _INTEGERS, _FLOATS, _FLOATS, _FLOATS, INTEGER, _FLOATS,
)  # fmt: skip


def correct_frames(
    raw: NDArray[np.float32],
    total: NDArray[np.float32],
    first: int,
    hop: int,
    wanted: Floats,
    strengths: Floats,
    limit: float,
    floor: float,
    tables: Tables,
) -> None:
    """Bring the bands of some frames towards what is wanted, and add them to what is there.

    Args:
        raw: sound, ``float32 [N]``.
        total: of the frames so far, ``float32 [N]``; those of this call are added.
        first: where in it the first frame begins; another one begins every ``hop``.
        hop: a quarter of the window.
        wanted: logs of the bands, ``[J, B]``; likewise ``strengths``, ``[J]``.
        limit: of the log of a gain, either way.
        floor: of the log of a band.
        tables: see :class:`~ancestral.models.audio.mel_correction.Tables`.
    """
    window, bank, spans, below, shares, cosines, sines = tables
    frames, bands = wanted.shape
    assert first >= 0, "frames begin within the sound"
    assert first + (frames - 1) * hop + len(window) <= min(len(raw), len(total)) or not frames, "and end within it"
    scratch = np.empty(4 * len(cosines) + 3 * len(below) + bands)
    _CORRECT(
        raw, total, first, hop, wanted, strengths, frames, bands, limit, floor, window, len(window), bank, spans,
        len(spans), below, shares, cosines, sines, len(cosines), scratch,
    )  # fmt: skip
