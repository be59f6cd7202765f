"""The pronunciation dictionary: gruut's English lexicon, read straight from its SQLite file.

The table has no index on its words, so one lookup is a scan of 129 000 rows (about 6 ms). The whole table is
therefore read once, at the first lookup (about 0.2 s), into one dictionary of strings.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

from models.text.phonemes import from_ipa

_FIELD: Final = "|"
_ENTRY: Final = ";"
_ROLE_PREFIX: Final = "gruut:"

_load_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One way to say a word.

    Attributes:
        phones: members of `phonemes.PHONEMES`, no pauses.
        role: the part of speech it belongs to (`NN`, `VB`, `VBD`, `JJ`, ...), or `""` for any.
    """

    phones: tuple[str, ...]
    role: str


def data_file(name: str) -> Path:
    """Path of a file inside the installed `gruut_lang_en` package.

    Raises:
        ModuleNotFoundError: if `gruut_lang_en` is not installed.
    """
    return Path(str(resources.files("gruut_lang_en"))) / name


def _read_table() -> dict[str, str]:
    connection = sqlite3.connect(f"{data_file('lexicon.db').as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        rows = connection.execute("SELECT word, phonemes, role FROM word_phonemes ORDER BY id")
        entries: dict[str, str] = {}
        for word, phones, role in rows:
            entry = f"{phones}{_FIELD}{role.removeprefix(_ROLE_PREFIX)}"
            entries[word] = f"{entries[word]}{_ENTRY}{entry}" if word in entries else entry
        return entries
    finally:
        connection.close()


@lru_cache(maxsize=1)
def _cached_table() -> dict[str, str]:
    return _read_table()


def _table() -> dict[str, str]:
    # lru_cache alone would let two threads that arrive together both read the file.
    with _load_lock:
        return _cached_table()


def contains(word: str) -> bool:
    """Whether the lexicon has `word` (lower case)."""
    return word in _table()


@lru_cache(maxsize=16384)
def lookup(word: str) -> tuple[Pronunciation, ...]:
    """All pronunciations of a word, the lexicon's preferred one first.

    Args:
        word: in lower case, with its apostrophe if it has one (`don't`).

    Returns:
        An empty tuple if the lexicon does not have it.
    """
    entries = _table().get(word)
    if entries is None:
        return ()
    split = (entry.split(_FIELD) for entry in entries.split(_ENTRY))
    return tuple(Pronunciation(tuple(map(from_ipa, phones.split())), role) for phones, role in split)
