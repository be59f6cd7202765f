"""The lexicons and taggers that are packed from gruut's packages."""

import sqlite3
from importlib import resources

import numpy as np
import pytest

from ancestral_models.text import lexicon
from ancestral_training.corpora.lexicons import PACKED, pack


@pytest.mark.parametrize("language", PACKED)
def test_what_is_bundled_is_what_is_packed(language):
    packed, parts = pack(language), ("lexicon", "sounds", "tags")
    bundled = {f"{part}/{name}": array for part in parts for name, array in lexicon._read(language, part).items()}
    assert packed.keys() == bundled.keys()
    for name, array in packed.items():
        assert array.dtype == bundled[name].dtype
        np.testing.assert_array_equal(array, bundled[name])


@pytest.mark.parametrize("language", PACKED)
def test_every_word_of_a_database_is_found_with_its_pronunciations_in_order(language):
    with resources.as_file(resources.files(PACKED[language][0]) / "lexicon.db") as path:
        database = sqlite3.connect(path)
        rows = database.execute("SELECT word, phonemes, role FROM word_phonemes ORDER BY id").fetchall()
        database.close()
    said = {}
    for word, symbols, role in rows:
        said.setdefault(word, []).append((symbols, role.removeprefix("gruut:")))
    assert {word: lexicon.entries(word, language) for word in said} == said
