"""Mouth shapes: every phoneme has one, and lips that close, close."""

from __future__ import annotations

from ancestral.models.text.phonemes import PHONEMES, is_pause
from ancestral.models.text.visemes import Viseme, viseme_of

SPOKEN = [phoneme for phoneme in PHONEMES if not is_pause(phoneme)]
OCULUS = {"PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"}


def test_every_phoneme_has_a_mouth() -> None:
    found = [viseme_of(phoneme) for phoneme in SPOKEN]
    assert {viseme.oculus for viseme in found} == OCULUS
    assert {viseme.azure for viseme in found} == set(range(1, 22))


def test_lips_close_for_p_b_and_m_alone() -> None:
    assert [phoneme for phoneme in SPOKEN if viseme_of(phoneme) == Viseme("PP", 21)] == ["B", "M", "P"]


def test_stress_does_not_matter() -> None:
    assert viseme_of("AA0") == viseme_of("AA1") == viseme_of("AA2") == Viseme("aa", 2)
    assert viseme_of("ə0") == viseme_of("AX0") == Viseme("aa", 1)
    assert viseme_of("ɑ̃1") == viseme_of("AA1")
