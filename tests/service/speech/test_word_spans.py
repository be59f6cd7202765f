"""When words are said: from the lengths of phonemes."""

from __future__ import annotations

import numpy as np

from models.text import PhonemeSequence
from service.speech.word_spans import WordSpans


def test_pauses_belong_to_no_word() -> None:
    sentence = PhonemeSequence.parse("sil _Y EH1 S , _N OW1 .")
    spans = WordSpans.of(sentence, np.cumsum([4, 2, 3, 1, 5, 2, 2, 6]) * 160)
    assert spans.spans == ((640, 1600), (2400, 3040))
    assert spans.length == 4000
    assert WordSpans.load(spans.dump()) == spans


def test_words_without_a_pause_touch() -> None:
    sentence = PhonemeSequence.parse("sil _DH AX0 _K AE1 T .")
    (first, second) = WordSpans.of(sentence, np.arange(1, 8)).spans
    assert (first, second) == ((1, 3), (3, 6))
