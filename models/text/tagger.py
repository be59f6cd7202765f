"""Parts of speech, by the conditional random field that ships with `gruut_lang_en` (MIT).

It was trained on the Universal Dependencies' English treebanks with Penn tags, and sees two words to either side.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ancestral.models.text import crf

_CONTEXT: Final = 2
_AFFIXES: Final = (2, 3)


@lru_cache(maxsize=16384)
def _features(word: str, prefix: str) -> Mapping[str, str | bool | float]:
    return {
        f"{prefix}bias": 1.0,
        f"{prefix}word": crf.encode(word),
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
    return crf.tag("pos", [_in_context(words, at) for at in range(len(words))])[i]
