"""Words to phones: the inventory, lexicon, word parts, the statistical guess, the reading in context, mouth shapes."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from ancestral.models.text import Sentence, g2p, lexicon, parse_text, phonemes, phonemize
from ancestral.models.text.phonemes import PHONEMES, Viseme, from_ipa, is_pause, viseme_of


@pytest.mark.parametrize("word", ["postgr", "filmr", "sbtl", "grpc", "kubectl", "hamnl", "dunkrk", "mehh", "pazm"])
def test_no_syllable_is_without_a_vowel(word):
    phones = g2p.pronounce(word)[0].phones
    assert any(phone[-1].isdigit() for phone in phones)
    sonorants = [i for i, phone in enumerate(phones[:-1]) if phone in "RLMN" and phones[i - 1] in "BDFGKPTVZ"]
    assert phones[-1] not in "RLMN" or phones[-2][-1].isdigit()
    assert all(phones[i + 1][-1].isdigit() for i in sonorants)


@pytest.mark.parametrize("letter", "eéEx1")
def test_a_letter_that_is_repeated_without_end_is_spoken_each_time(letter):
    assert sum(len(sentence.words) for sentence in phonemize(letter * 4096)) == 4096


def test_threads_get_the_same_answers():
    words = [f"blorp{a}{b}" for a in "abcdeiou" for b in ("nt", "sk", "mble", "ton")]
    with ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(lambda _: [g2p.guess(word) for word in words], range(8))]
    assert answers == [[g2p.guess(word) for word in words]] * 8


def test_ipa():
    symbols = {"ə": "AX0", "ˈʌ": "AH1", "ʌ": "AH0", "ˈɚ": "ER1", "ɹ": "R", "ɡ": "G", "t͡ʃ": "CH", "ˌoʊ": "OW2"}
    assert {ipa: from_ipa(ipa) for ipa in symbols} == symbols
    with pytest.raises(KeyError):
        from_ipa("ʁ")
    with sqlite3.connect(f"{lexicon.data_file('lexicon.db').as_uri()}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT phonemes FROM word_phonemes").fetchall()
    connection.close()
    every = {symbol for (row,) in rows for symbol in row.split()}
    assert {from_ipa(symbol) for symbol in every} <= set(PHONEMES) - set(phonemes.PAUSES)


def test_a_sentence_travels_as_json():
    document = (
        '<speak>Well, <prosody rate="80%" pitch="+2st">it is late.</prosody> Is it? <break time="1.5s"/>5 km, '
        '<break time="300ms"/> <phoneme ph="kæt">d"og</phoneme>!<break/></speak>'
    )
    sentences = phonemize(parse_text(document, "ssml"))
    assert [Sentence.from_json(json.loads(json.dumps(sentence.as_json()))) for sentence in sentences] == sentences
    assert sentences[0].as_json()[:4] == [
        ["well", 0, 4, "W EH1 L"], ",", ["it", 6, 8, "IH0 T", 0.8, 2.0, 0.0, False],
        ["is", 9, 11, "IH0 Z", 0.8, 2.0, 0.0, False],
    ]  # fmt: skip
    assert sentences[2].as_json()[:2] == [["sil", 1.5], ["five", 25, 29, "F AY1 V"]]


@pytest.mark.parametrize(
    "wrong",
    ["", None, [], [None], ["sil _XX ."], [["a", 0, 1, "QQ"]], [["a", 0, 1, ""]], [["a", 0, 1]], [["K", 1.0]], ["K"]],
)
def test_no_other_json_is_a_sentence(wrong):
    with pytest.raises((ValueError, TypeError)):
        Sentence.from_json(wrong)


def test_mouth_shapes():
    spoken = [phoneme for phoneme in PHONEMES if not is_pause(phoneme)]
    assert {viseme_of(phoneme).oculus for phoneme in spoken} == {
        "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou",
    }  # fmt: skip
    assert {viseme_of(phoneme).azure for phoneme in spoken} == set(range(1, 22))
    assert [phoneme for phoneme in spoken if viseme_of(phoneme) == Viseme("PP", 21)] == ["B", "M", "P"], "lips close"
    assert viseme_of("AA0") == viseme_of("AA1") == viseme_of("AA2") == viseme_of("ɑ̃1") == Viseme("aa", 2)
    assert viseme_of("ə0") == viseme_of("AX0") == Viseme("aa", 1)
