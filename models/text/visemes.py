"""Mouth shapes of phonemes: the 15 visemes of Oculus' lip sync, and Azure's numbers 1 to 21 for the same mouths.

A phoneme has one shape. Of a diphthong that Azure does not number it is that of its first vowel, and of a nasal vowel
that of the oral one. Silence, which is ``sil`` or 0, has no phoneme: it is where no viseme is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ancestral.models.text.tables import table


class Viseme(NamedTuple):
    """One mouth shape, in two alphabets."""

    oculus: str
    azure: int


_OF_PHONEME: Final = {
    phoneme: Viseme(mouth.split()[0], int(mouth.split()[1]))
    for mouth, phonemes in table("phonemes").pairs("visemes")
    for phoneme in phonemes.split()
}


def viseme_of(phoneme: str) -> Viseme:
    """The mouth shape of a phoneme of the inventory that is no pause; a vowel's stress does not matter."""
    return _OF_PHONEME[phoneme.rstrip("012")]
