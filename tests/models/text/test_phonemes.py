"""The inventory: what a checkpoint's embedding table relies on."""

import sqlite3

import pytest

from ancestral.models.text import lexicon, phonemes, phonemize


def test_inventory_is_complete_and_pauses_come_first():
    assert len(phonemes.PHONEMES) == len(set(phonemes.PHONEMES)) == 5 + 46 + 24
    assert phonemes.PHONEMES[:5] == ("sil", ",", ".", "?", "!")
    assert phonemes.PHONEMES[5] == "AX0"
    assert {vowel for vowel in phonemes.VOWELS if vowel.startswith("AX")} == {"AX0"}


def test_helpers_tell_pauses_vowels_and_stress_apart():
    assert [p for p in phonemes.PHONEMES if phonemes.is_pause(p)] == list(phonemes.PAUSES)
    assert phonemes.without_stress("AE1") == "AE"
    assert phonemes.without_stress("AX0") == "AX"
    assert phonemes.without_stress("NG") == "NG"
    assert phonemes.with_stress("IY1", "0") == "IY0"
    assert phonemes.with_stress("AX0", "1") == "AX0"
    assert phonemes.with_stress("K", "1") == "K"


@pytest.mark.parametrize(
    ("ipa", "expected"),
    [("ə", "AX0"), ("ˈʌ", "AH1"), ("ʌ", "AH0"), ("ˈɚ", "ER1"), ("ɹ", "R"), ("ɡ", "G"), ("t͡ʃ", "CH"), ("ˌoʊ", "OW2")],
)
def test_from_ipa(ipa, expected):
    assert phonemes.from_ipa(ipa) == expected


def test_every_symbol_of_the_lexicon_is_mapped():
    with sqlite3.connect(f"{lexicon.data_file('lexicon.db').as_uri()}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT phonemes FROM word_phonemes").fetchall()
    connection.close()
    symbols = {symbol for (row,) in rows for symbol in row.split()}
    assert {phonemes.from_ipa(symbol) for symbol in symbols} <= set(phonemes.PHONEMES) - set(phonemes.PAUSES)


def test_unknown_ipa_is_an_error():
    with pytest.raises(KeyError):
        phonemes.from_ipa("ʁ")


def test_a_sequence_travels_as_text():
    sequence = phonemes.PhonemeSequence(("sil", "DH", "AX0", "K", "."), (False, True, False, True, False))
    assert str(sequence) == "sil _DH AX0 _K ."
    assert phonemes.PhonemeSequence.parse(str(sequence)) == sequence
    for wrong in ("", "sil _XX .", "sil  ."):
        with pytest.raises(ValueError, match="unknown"):
            phonemes.PhonemeSequence.parse(wrong)


def test_a_sequence_has_what_the_acoustic_model_reads_of_a_sentence():
    for sentence in phonemize("Well, it is late. Is it? Dr. O'Neill's 3 cats slid!"):
        sequence = phonemes.PhonemeSequence.parse(str(phonemes.PhonemeSequence.of(sentence)))
        assert (sequence.phones, sequence.word_starts) == (sentence.phones, sentence.word_starts)
