"""The lexicons of English, French and Italian, and conditional random fields: sounds of letters, and parts of speech.

They are gruut's (MIT); ancestral_training/corpora/lexicons.py packs them into a file per language,
lexicons/NAME.npz.
"""

from __future__ import annotations

import base64
import string
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral_models.text.phonemes import from_ipa
from ancestral_models.text.tables import table

ENGLISH: Final = "english"
SOUNDS: Final = table("english").phones("sounds")
"""Sounds that are written without a vowel, and their phonemes."""
_WORDS: Final = SOUNDS | table("english").phones("words")
_TAB: Final = "\t"
_ROLE: Final = "|"
_NEWLINE: Final = "\n"


class Lines:
    """Sorted lines of text, without an object for each: a key, and after a tab its value, if it has one.

    Args:
        text: the lines in UTF-8, in the order of their bytes.
    """

    def __init__(self, text: NDArray[np.uint8]) -> None:
        self._text: Final = text.tobytes()
        begins = np.flatnonzero(text == ord(_NEWLINE)) + 1
        self._begins: Final = np.concatenate(([0], begins, [len(text) + 1])).astype(np.uint32).data

    def __len__(self) -> int:
        return len(self._begins) - 1

    def __getitem__(self, number: int) -> bytes:
        return self._text[self._begins[number] : self._begins[number + 1] - 1]

    def find(self, key: str) -> tuple[int, str] | None:
        """The number and the value of the line with this key; None if there is none."""
        number = bisect_left(self, key.encode())
        found, _, value = self[number].decode().partition(_TAB) if number < len(self) else (None, "", "")
        return (number, value) if found == key else None


def _read(language: str, part: str) -> dict[str, NDArray[Any]]:
    """The arrays of one part of a language's file: `lexicon`, `sounds` or `tags`."""
    path = resources.files("ancestral_models.text") / "lexicons" / f"{language}.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        names = [name for name in arrays if name.startswith(f"{part}/")]
        return {name.removeprefix(f"{part}/"): arrays[name] for name in names}


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One way to say a word.

    Attributes:
        phones: members of `phonemes.PHONEMES`, no pauses.
        role: the part of speech it belongs to (`NN`, `VB`, `VBD`, `JJ`, ...), or `""` for any.
    """

    phones: tuple[str, ...]
    role: str


@cache
def _lexicon(language: str) -> Lines:
    return Lines(_read(language, "lexicon")["words"])


def entries(word: str, language: str = ENGLISH) -> list[tuple[str, str]]:
    """The pronunciations of a word in the lexicon of a language, the preferred one first: symbols with spaces between
    them, and the part of speech or `""`."""
    if (found := _lexicon(language).find(word)) is None:
        return []
    _, value = found
    pairs = (said.partition(_ROLE) for said in value.split(_TAB))
    return [(symbols, role) for symbols, _, role in pairs]


def contains(word: str) -> bool:
    """Whether the lexicon has `word` (lower case)."""
    return bool(lookup(word))


@lru_cache(maxsize=16384)
def lookup(word: str) -> tuple[Pronunciation, ...]:
    """All pronunciations of a word, the lexicon's preferred one first.

    Args:
        word: in lower case, with its apostrophe if it has one (`don't`).

    Returns:
        An empty tuple if the lexicon does not have it.
    """
    if word in _WORDS:
        return (Pronunciation(_WORDS[word], ""),)
    return tuple(Pronunciation(tuple(map(from_ipa, phones.split())), role) for phones, role in entries(word))


# Linear chains of labels, trained by CRFsuite. The sums are those of CRFsuite, in its order.

Features = Mapping[str, str | bool | float]


class Tagger:
    """Labels sequences.

    Args:
        columns: the names of `labels`, and of `attributes` in order, as text; of each label, then of each attribute,
            how many labels it speaks for or against (`counts`), and of all of these `targets` and `weights`.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self.labels: Final = columns["labels"].tobytes().decode().split(_NEWLINE)
        self.attributes: Final = Lines(columns["attributes"])
        self._ends: Final = np.cumsum(columns["counts"], dtype=np.int32)
        self._counts, self._targets, self._weights = (columns[name] for name in ("counts", "targets", "weights"))
        self._transitions: Final = np.zeros((len(self.labels), len(self.labels)))
        for label in range(len(self.labels)):
            targets, weights = self.features_of(label)
            self._transitions[label, targets] = weights
        self._found = lru_cache(maxsize=1 << 14)(self._look_up)

    def tag(self, sequence: Sequence[Features]) -> list[str]:
        """The likeliest labels of a sequence of items.

        Args:
            sequence: of each item the attributes: of a text as value ``name:text`` with the weight 1, else ``name``
                with the value as its weight.
        """
        if not sequence:
            return []
        scores, *states = self._states(sequence)
        before: list[NDArray[np.intp]] = []
        for state in states:
            ways = scores[:, None] + self._transitions
            before.append(ways.argmax(axis=0))
            scores = ways.max(axis=0) + state
        best = [int(scores.argmax())]
        for ways_to in reversed(before):
            best.append(int(ways_to[best[-1]]))
        return [self.labels[label] for label in reversed(best)]

    def _states(self, sequence: Sequence[Features]) -> NDArray[np.float64]:
        """What the attributes of every item say of every label, ``[items, labels]``."""
        places, weights = [np.zeros(0, np.intp)], [np.zeros(0)]
        for number, item in enumerate(sequence):
            for name, value in item.items():
                targets, of_targets = self._found(f"{name}:{value}" if isinstance(value, str) else name)
                places.append(targets + number * len(self.labels))
                weights.append(of_targets if isinstance(value, str) else of_targets * float(value))
        whole = len(sequence) * len(self.labels)
        sums = np.bincount(np.concatenate(places), np.concatenate(weights), whole).astype(np.float64)
        return sums.reshape(len(sequence), -1)

    def _look_up(self, attribute: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The labels that an attribute speaks for or against, and its weights; none of one that the model lacks."""
        if (found := self.attributes.find(attribute)) is None:
            return np.zeros(0, np.intp), np.zeros(0)
        return self.features_of(len(self.labels) + found[0])

    def features_of(self, number: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The labels and the weights of the features of a label, or of an attribute after all labels."""
        features = slice(self._ends[number] - self._counts[number], self._ends[number])
        return self._targets[features].astype(np.intp), self._weights[features].astype(np.float64)


# Sounds of letters, and parts of speech.

_CONTEXT: Final = 3
_NOTHING: Final = "_"
_JOIN: Final = "|"
_TAG_CONTEXT: Final = 2
_AFFIXES: Final = (2, 3)


@cache
def _tagger(language: str, part: str) -> Tagger:
    return Tagger(_read(language, part))


@lru_cache(maxsize=1024)
def encode(text: str) -> str:
    """A text as the models know it: they were trained on base64, so that every feature is plain ASCII."""
    return base64.b64encode(text.encode()).decode()


def sounds(word: str, language: str = ENGLISH) -> list[str]:
    """The symbols of a lexicon's language that a word's letters stand for, likeliest; there may be none.

    The model labels each letter with zero or more, seeing three letters to either side. Italian has none.
    """
    labels = _tagger(language, "sounds").tag([_letter(word, i) for i in range(len(word))])
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
    return _tagger(ENGLISH, "tags").tag([_in_context(words, at) for at in range(len(words))])[i]
