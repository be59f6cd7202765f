"""The pronunciation dictionary: gruut's English lexicon, read straight from its SQLite file, and what it lacks or
has wrong (models/text/tables/english.txt).

A lexicon's table has no index on its words, so one lookup is a scan of 129 000 rows (about 6 ms). At the first lookup
it is therefore copied into memory in the order of its words (8 MB; a dictionary of strings takes 28), where one takes
5 µs. gruut's other lexicons (`gruut_lang_fr`) have the same form.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

from ancestral.models.text.phonemes import from_ipa
from ancestral.models.text.tables import table

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
