"""Mouth shapes of phonemes: the 15 visemes of Oculus' lip sync, and Azure's numbers 1 to 21 for the same mouths.

A phoneme has one shape. Of a diphthong that Azure does not number it is that of its first vowel, and of a nasal vowel
that of the oral one. Silence, which is ``sil`` or 0, has no phoneme: it is where no viseme is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Viseme(NamedTuple):
    """One mouth shape, in two alphabets."""

    oculus: str
    azure: int


_PHONEMES: Final[Mapping[Viseme, str]] = {
    Viseme("PP", 21): "P B M",
    Viseme("FF", 18): "F V",
    Viseme("TH", 17): "DH",
    Viseme("TH", 19): "TH",
    Viseme("DD", 19): "T D ɾ",
    Viseme("kk", 20): "K G NG x",
    Viseme("kk", 12): "HH",
    Viseme("CH", 16): "CH JH SH ZH",
    Viseme("SS", 15): "S Z ts dz",
    Viseme("nn", 19): "N ɲ",
    Viseme("nn", 14): "L ʎ",
    Viseme("RR", 13): "R r ʁ",
    Viseme("RR", 5): "ER",
    Viseme("aa", 1): "AE AH AX a ɐ ɐ̃ ə",
    Viseme("aa", 2): "AA ɑ̃",
    Viseme("aa", 9): "AW",
    Viseme("aa", 11): "AY",
    Viseme("E", 4): "EH EY e ɛ ẽ ɛ̃",
    Viseme("ih", 6): "IH IY Y i ĩ",
    Viseme("oh", 3): "AO ɔ ɔ̃",
    Viseme("oh", 8): "OW o õ",
    Viseme("oh", 10): "OY",
    Viseme("oh", 1): "ø œ œ̃",
    Viseme("ou", 4): "UH",
    Viseme("ou", 7): "UW W u ũ y ɥ",
}
_OF_PHONEME: Final = {phoneme: viseme for viseme, listed in _PHONEMES.items() for phoneme in listed.split()}


def viseme_of(phoneme: str) -> Viseme:
    """The mouth shape of a phoneme of the inventory that is no pause; a vowel's stress does not matter."""
    return _OF_PHONEME[phoneme.rstrip("012")]
