"""The inventory: what a checkpoint's embedding table relies on."""

import json
import sqlite3

import pytest

from ancestral.models.text import Sentence, lexicon, parse_text, phonemes, phonemize


def test_inventory_is_complete_and_pauses_come_first():
    assert len(phonemes.PHONEMES) == len(set(phonemes.PHONEMES)) == 5 + 46 + 24 + 41 + 9
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
    assert [phonemes.with_stress(p, "2") for p in ("ɐ̃0", "ə0", "ɲ")] == ["ɐ̃1", "ə0", "ɲ"]


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


def test_a_sentence_travels_as_json():
    document = (
        '<speak>Well, <prosody rate="80%" pitch="+2st">it is late.</prosody> Is it? <break time="1.5s"/>5 km, '
        '<break time="300ms"/> <phoneme ph="kæt">d"og</phoneme>!<break/></speak>'
    )
    sentences = phonemize(parse_text(document, "ssml"))
    assert [Sentence.from_json(json.loads(json.dumps(sentence.as_json()))) for sentence in sentences] == sentences
    assert sentences[0].as_json()[:4] == [
        ["well", 0, 4, "W EH1 L"], ",", ["it", 6, 8, "IH0 T", 0.8, 2.0], ["is", 9, 11, "IH0 Z", 0.8, 2.0],
    ]  # fmt: skip
    assert sentences[2].as_json()[:2] == [["sil", 1.5], ["five", 25, 29, "F AY1 V"]]


@pytest.mark.parametrize(
    "wrong",
    ["", None, [], [None], ["sil _XX ."], [["a", 0, 1, "QQ"]], [["a", 0, 1, ""]], [["a", 0, 1]], [["K", 1.0]], ["K"]],
)
def test_no_other_json_is_a_sentence(wrong):
    with pytest.raises((ValueError, TypeError)):
        Sentence.from_json(wrong)
