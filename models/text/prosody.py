"""The values of SSML's ``<prosody rate pitch>``, as factors of the speed and as semitones."""

from __future__ import annotations

import math
import re
from typing import Final

from ancestral.models.text.characters import UnsupportedText

_RATES: Final = {
    "x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75,
}  # fmt: skip
_PITCHES: Final = {
    "x-low": -4.0, "low": -2.0, "medium": 0.0, "default": 0.0, "high": 2.0, "x-high": 4.0,
}  # fmt: skip
"""Semitones."""
_NUMBER: Final = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_PERCENT: Final = re.compile(rf"([+-]?)({_NUMBER})%")
_FACTOR: Final = re.compile(_NUMBER)
_SEMITONES: Final = re.compile(rf"([+-])({_NUMBER})st")
_LONGEST_SHOWN: Final = 40


def parse_rate(text: str) -> float:
    """A label, a factor, a percentage of the speed around it (``80%``), or a change of it (``-20%``).

    Raises:
        UnsupportedText: it is none of them.
    """
    text = text.strip()
    if text in _RATES:
        return _RATES[text]
    if percent := _PERCENT.fullmatch(text):
        return _relative(percent) if percent[1] else float(percent[2]) / 100.0
    if _FACTOR.fullmatch(text):
        return float(text)
    labels = ", ".join(_RATES)
    raise UnsupportedText(f"<prosody rate>: {text[:_LONGEST_SHOWN]!r} is none of {labels}, or a value like 80% or -20%")


def parse_pitch(text: str) -> float:
    """A label, or a change in semitones (``+2st``) or per cent of the frequency (``-10%``), as semitones.

    Raises:
        UnsupportedText: it is none of them; frequencies in hertz are not supported.
    """
    text = text.strip()
    if text in _PITCHES:
        return _PITCHES[text]
    if semitones := _SEMITONES.fullmatch(text):
        return float(semitones[1] + semitones[2])
    if (percent := _PERCENT.fullmatch(text)) and percent[1] and (factor := _relative(percent)) > 0.0:
        return 12.0 * math.log2(factor)
    labels = ", ".join(_PITCHES)
    message = f"<prosody pitch>: {text[:_LONGEST_SHOWN]!r} is none of {labels}, or a change like +2st or -10%"
    raise UnsupportedText(message)


def _relative(percent: re.Match[str]) -> float:
    return 1.0 + float(percent[1] + percent[2]) / 100.0
