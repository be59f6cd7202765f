"""Parts of speech, by the conditional random field that ships with `gruut_lang_en` (MIT).

It was trained on the Universal Dependencies' English treebanks with Penn tags, and sees two words to either side.
"""

from __future__ import annotations

import base64
import string
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ancestral.models.text import lexicon

if TYPE_CHECKING:
    from pycrfsuite import Tagger

_CONTEXT: Final = 2
_AFFIXES: Final = (2, 3)

_lock = threading.Lock()


@lru_cache(maxsize=1)
def _tagger() -> Tagger:
    import pycrfsuite

    tagger = pycrfsuite.Tagger()
    tagger.open(str(lexicon.data_file("pos/model.crf")))
    return tagger


@lru_cache(maxsize=16384)
def _features(word: str, prefix: str) -> Mapping[str, str | bool | float]:
    return {
        f"{prefix}bias": 1.0,
        # The model was trained on base64 names.
        f"{prefix}word": base64.b64encode(word.encode()).decode(),
        f"{prefix}len(word)": len(word),
        f"{prefix}word.ispunctuation": word in string.punctuation,
        f"{prefix}word.isdigit()": word.isdigit(),
        **{f"{prefix}word[:{n}]": word[:n] for n in _AFFIXES},
        **{f"{prefix}word[-{n}:]": word[-n:] for n in _AFFIXES},
    }


def _in_context(words: tuple[str, ...], i: int) -> dict[str, str | bool | float]:
    features = dict(_features(words[i], ""))
    if i == 0:
        features["BOS"] = True
    if i == len(words) - 1:
        features["EOS"] = True
    for step in range(1, _CONTEXT + 1):
        if i >= step:
            features.update(_features(words[i - step], f"-{step}:"))
        if i + step < len(words):
            features.update(_features(words[i + step], f"+{step}:"))
    return features


@lru_cache(maxsize=4096)
def part_of_speech(words: tuple[str, ...], i: int) -> str:
    """The Penn tag of one word.

    Args:
        words: a sentence, or what stands around the word; marks are words.
        i: which of them.
    """
    with _lock:  # a Tagger keeps the sequence it works on
        return str(_tagger().tag([_in_context(words, at) for at in range(len(words))])[i])
