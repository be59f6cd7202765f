"""The sounds of one language said with those of another: a voice has only learnt those of its own.

A phoneme that a voice's language lacks becomes the nearest that it has, or two; one that has nothing near is left out,
as a French speaker does with an h.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from ancestral.models.text.characters import ENGLISH
from ancestral.models.text.languages import registry
from ancestral.models.text.phonemes import (
    ENGLISH_CONSONANTS,
    ENGLISH_VOWELS,
    PHONEMES,
    SCHWA,
    VOWELS,
    is_vowel,
    with_stress,
    without_stress,
)
from ancestral.models.text.tables import table

Phones = tuple[str, ...]

_NEAR: Final = table("phonemes").entries("near")
"""The nearest phonemes of each phoneme, without its stress, the very nearest first."""


@cache
def sounds(language: str) -> frozenset[str]:
    """The phonemes of a language, vowels without stress."""
    if language == ENGLISH.language:
        return frozenset(map(without_stress, (*ENGLISH_VOWELS, *ENGLISH_CONSONANTS)))
    return registry.table(language).sounds


@cache
def _nearest(language: str) -> dict[str, Phones]:
    """What a voice of a language says for each phoneme that its language lacks."""
    own = sounds(language)
    found: dict[str, Phones] = {}
    for phone in PHONEMES:
        plain = without_stress(phone)
        if plain in own or plain not in _NEAR:
            continue
        near = next((s for s in (near.split() for near in _NEAR[plain].split(", ")) if own.issuperset(s)), [])
        found[phone] = tuple(_stressed(sound, phone) for sound in near)
    return found


def _stressed(sound: str, like: str) -> str:
    """A phoneme with the stress of another. What is secondary is none in the languages that know none."""
    if f"{sound}0" not in VOWELS:
        return sound
    stress = like[-1] if is_vowel(like) else "0"
    return with_stress(f"{sound}0", stress if f"{sound}{stress}" in VOWELS else "0")


def in_language(phones: Phones, language: str) -> Phones:
    """The phonemes of a word as a voice of a language says them: at least one."""
    near = _nearest(language)
    if near.keys().isdisjoint(phones):
        return phones
    said = tuple(sound for phone in phones for sound in near.get(phone, (phone,)))
    return said or near[SCHWA]  # "h" in French
