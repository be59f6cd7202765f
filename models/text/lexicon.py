"""The lexicons that ship with gruut, and its conditional random fields: sounds of letters, and parts of speech."""

from __future__ import annotations

import base64
import mmap
import sqlite3
import string
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.text.phonemes import from_ipa
from ancestral.models.text.tables import table

# The pronunciation dictionary: gruut's English lexicon, read straight from its SQLite file, and what it lacks or
# has wrong (models/text/tables/english.txt).
#
# A lexicon's table has no index on its words, so one lookup is a scan of 129 000 rows (about 6 ms). At the first lookup
# it is therefore copied into memory in the order of its words (8 MB; a dictionary of strings takes 28), where one takes
# 5 µs. gruut's other lexicons (`gruut_lang_fr`) have the same form.

ENGLISH: Final = "gruut_lang_en"
SOUNDS: Final = table("english").phones("sounds")
"""Sounds that are written without a vowel, and their phonemes."""
_WORDS: Final = SOUNDS | table("english").phones("words")
_ROLE_PREFIX: Final = "gruut:"
_COPY: Final = """
    CREATE TABLE entries
        (word TEXT, number INTEGER, phonemes TEXT, role TEXT, PRIMARY KEY (word, number)) WITHOUT ROWID;
    INSERT INTO entries SELECT word, id, phonemes, role FROM shipped.word_phonemes ORDER BY word, id;
    DETACH shipped;
"""

_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One way to say a word.

    Attributes:
        phones: members of `phonemes.PHONEMES`, no pauses.
        role: the part of speech it belongs to (`NN`, `VB`, `VBD`, `JJ`, ...), or `""` for any.
    """

    phones: tuple[str, ...]
    role: str


def data_file(name: str, package: str = ENGLISH) -> Path:
    """Path of a file inside an installed package of gruut's.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    return Path(str(resources.files(package))) / name


@cache
def _entries(package: str) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", uri=True, check_same_thread=False)
    memory.execute("ATTACH ? AS shipped", (f"{data_file('lexicon.db', package).as_uri()}?mode=ro&immutable=1",))
    memory.executescript(_COPY)
    return memory


def entries(word: str, package: str = ENGLISH) -> list[tuple[str, str]]:
    """What gruut's lexicon of a language has for a word: its symbols, spaces between them, and the role; in order."""
    with _lock:  # one connection for all threads, and one copy for threads that arrive together
        found = _entries(package).execute("SELECT phonemes, role FROM entries WHERE word = ? ORDER BY number", (word,))
        return [(phones, role.removeprefix(_ROLE_PREFIX)) for phones, role in found]


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


# Models of CRFsuite (its format ``FOMC``): linear chains of labels. The sums are those of CRFsuite, in its order.

Features = Mapping[str, str | bool | float]
HEADER: Final = struct.Struct("<4sI4s9I")
TABLE: Final = struct.Struct("<4s5I")
"""The header of a table of keys, which ends with where the offsets of its entries are listed."""
CHUNK: Final = 12
"""Bytes before the entries of other chunks: a name, a size, and how many there are."""
FEATURE: Final = np.dtype([("kind", "<u4"), ("source", "<u4"), ("target", "<u4"), ("weight", "<f8")])


class Tagger:
    """Labels sequences.

    Args:
        path: of a model.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data: Final = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        *_, labels, attributes, features, names, keys, self.sources, self.references = HEADER.unpack_from(self._data)
        (count,) = struct.unpack_from("<I", self._data, features + CHUNK - 4)
        self._features: Final = np.frombuffer(self._data, FEATURE, count, features + CHUNK)
        self.labels: Final = self._keys(names, labels)
        self.attributes: Final = {key: number for number, key in enumerate(self._keys(keys, attributes))}
        self._transitions: Final = np.zeros((labels, labels))
        for label in range(labels):
            targets, weights = self.features_of(self.sources, label)
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
        if attribute not in self.attributes:
            return np.zeros(0, np.intp), np.zeros(0)
        return self.features_of(self.references, self.attributes[attribute])

    def features_of(self, chunk: int, number: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The labels and the weights of the features that entry ``number`` of a chunk of references names. Weights are
        rounded to float32, which is what the page without a server has of them (deploy/browser/compact.py)."""
        (offset,) = struct.unpack_from("<I", self._data, chunk + CHUNK + 4 * number)
        (count,) = struct.unpack_from("<I", self._data, offset)
        found = self._features[np.frombuffer(self._data, "<u4", count, offset + 4)]
        return found["target"].astype(np.intp), found["weight"].astype(np.float32).astype(np.float64)

    def _keys(self, table: int, count: int) -> list[str]:
        """The keys of a table by their numbers."""
        *_, listed = TABLE.unpack_from(self._data, table)
        found = []
        for offset in np.frombuffer(self._data, "<u4", count, table + listed).tolist():
            begin = table + offset + 8
            (size,) = struct.unpack_from("<I", self._data, begin - 4)
            found.append(self._data[begin : begin + size - 1].decode())  # without the zero behind it
        return found


# The conditional random fields that ship with gruut's lexicons (MIT): sounds of letters, and parts of speech.

_CONTEXT: Final = 3
_NOTHING: Final = "_"
_JOIN: Final = "|"
_TAG_CONTEXT: Final = 2
_AFFIXES: Final = (2, 3)


@lru_cache
def _tagger(name: str, package: str) -> Tagger:
    """The model of this name in a package of gruut's."""
    return Tagger(data_file(f"{name}/model.crf", package))


@lru_cache(maxsize=1024)
def encode(text: str) -> str:
    """A text as the models know it: they were trained on base64, so that every feature is plain ASCII."""
    return base64.b64encode(text.encode()).decode()


def sounds(word: str, package: str = ENGLISH) -> list[str]:
    """The symbols of a lexicon's language that a word's letters stand for, likeliest; there may be none.

    The model `g2p` labels each letter with zero or more, seeing three letters to either side.
    """
    labels = _tagger("g2p", package).tag([_letter(word, i) for i in range(len(word))])
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
    return _tagger("pos", ENGLISH).tag([_in_context(words, at) for at in range(len(words))])[i]
