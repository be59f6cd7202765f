"""The all-pole filter of models/audio/shaping.py, compiled: a second of sound in half a millisecond."""

from __future__ import annotations

from numba import njit

from ancestral.models.audio.shaping import all_pole

compiled_all_pole = njit(cache=True, error_model="numpy")(all_pole)
"""The same function, and the same bits."""
