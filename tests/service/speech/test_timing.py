"""When words and phonemes are said: from the lengths of phonemes."""

from __future__ import annotations

import numpy as np

from ancestral.models.text import Sentence, Word
from ancestral.speech.timing import Timing


def test_pauses_belong_to_no_word() -> None:
    sentence = Sentence((Word("yes", ("Y", "EH1", "S"), (0, 3)), ",", Word("no", ("N", "OW1"), (5, 7)), "."))
    timing = Timing.of(np.cumsum([4, 2, 3, 1, 5, 2, 2, 6]) * 160)
    assert timing.words(sentence) == [(640, 1600), (2400, 3040)]
    assert timing.phonemes(sentence) == [
        ("Y", (640, 960)), ("EH1", (960, 1440)), ("S", (1440, 1600)), ("N", (2400, 2720)), ("OW1", (2720, 3040)),
    ]  # fmt: skip
    assert timing.length == 4000
    assert Timing.load(timing.dump()) == timing


def test_words_without_a_pause_touch() -> None:
    sentence = Sentence((Word("the", ("DH", "AX0"), (0, 3)), Word("cat", ("K", "AE1", "T"), (4, 7)), "."))
    assert Timing.of(np.arange(1, 8)).words(sentence) == [(1, 3), (3, 6)]
