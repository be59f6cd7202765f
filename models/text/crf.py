"""The conditional random fields that ship with gruut's lexicons (MIT): sounds of letters, and parts of speech."""

from __future__ import annotations

import base64
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ancestral.models.text import lexicon
from ancestral.models.text.crfsuite import Features, Tagger

_CONTEXT: Final = 3
_NOTHING: Final = "_"
_JOIN: Final = "|"
_TAG_CONTEXT: Final = 2
_AFFIXES: Final = (2, 3)


@lru_cache
def _tagger(name: str, package: str) -> Tagger:
    return Tagger(lexicon.data_file(f"{name}/model.crf", package))


def tag(name: str, sequence: Sequence[Features], package: str = lexicon.ENGLISH) -> list[str]:
    """The likeliest tag of every item of a sequence, by the model of this name in a package of gruut's."""
    return _tagger(name, package).tag(sequence)


@lru_cache(maxsize=1024)
def encode(text: str) -> str:
    """A text as the models know it: they were trained on base64, so that every feature is plain ASCII."""
    return base64.b64encode(text.encode()).decode()


def sounds(word: str, package: str = lexicon.ENGLISH) -> list[str]:
    """The symbols of a lexicon's language that a word's letters stand for, likeliest; there may be none.

    The model `g2p` labels each letter with zero or more, seeing three letters to either side.
    """
    labels = tag("g2p", [_letter(word, i) for i in range(len(word))], package)
    symbols = (symbol for label in labels for symbol in base64.b64decode(label).decode().split(_JOIN))
    return [symbol for symbol in symbols if symbol != _NOTHING]


def _letter(word: str, i: int) -> Features:
    features: dict[str, str | bool | float] = {"bias": 1.0, "grapheme": encode(word[i])}
    for step in range(1, _CONTEXT + 1):
        if i >= step:
            features[f"grapheme-{step}"] = encode(word[i - step])
        if i + step < len(word):
            features[f"grapheme+{step}"] = encode(word[i + step])
    if i == 0:
        features["begin"] = True
    if i == len(word) - 1:
        features["end"] = True
    return features


@lru_cache(maxsize=16384)
def _tag_features(word: str, prefix: str) -> Features:
    return {
        f"{prefix}bias": 1.0,
        f"{prefix}word": encode(word),
        f"{prefix}len(word)": len(word),
        f"{prefix}word.ispunctuation": word in string.punctuation,
        f"{prefix}word.isdigit()": word.isdigit(),
        **{f"{prefix}word[:{n}]": word[:n] for n in _AFFIXES},
        **{f"{prefix}word[-{n}:]": word[-n:] for n in _AFFIXES},
    }


def _in_context(words: tuple[str, ...], i: int) -> dict[str, str | bool | float]:
    features = dict(_tag_features(words[i], ""))
    if i == 0:
        features["BOS"] = True
    if i == len(words) - 1:
        features["EOS"] = True
    for step in range(1, _TAG_CONTEXT + 1):
        if i >= step:
            features.update(_tag_features(words[i - step], f"-{step}:"))
        if i + step < len(words):
            features.update(_tag_features(words[i + step], f"+{step}:"))
    return features


@lru_cache(maxsize=4096)
def part_of_speech(words: tuple[str, ...], i: int) -> str:
    """The Penn tag of one word, by a model that was trained on the Universal Dependencies' English treebanks, and sees
    two words to either side.

    Args:
        words: a sentence, or what stands around the word; marks are words.
        i: which of them.
    """
    return tag("pos", [_in_context(words, at) for at in range(len(words))])[i]
