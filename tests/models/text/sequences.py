"""Sentences as text, for comparisons: ``sil _DH AX0 _K AE1 T .``"""

from __future__ import annotations

from ancestral.models.text import Sentence
from ancestral.models.text.phonemes import PLAIN, Control


def sequence(sentence: Sentence) -> str:
    """The phonemes; ``_`` begins a word, and a control follows its phoneme: ``,:1.5`` (seconds), ``_K*0.8^2.0``."""
    controls = sentence.controls or (PLAIN,) * len(sentence.phones)
    triples = zip(sentence.phones, sentence.word_starts, controls, strict=True)
    return " ".join(f"{'_' if starts else ''}{phone}{_shown(control)}" for phone, starts, control in triples)


def _shown(control: Control) -> str:
    seconds = "" if control.seconds is None else f":{control.seconds:.3f}"
    rate = "" if control.rate == 1.0 else f"*{control.rate}"
    return seconds + rate + ("" if control.semitones == 0.0 else f"^{control.semitones}")
