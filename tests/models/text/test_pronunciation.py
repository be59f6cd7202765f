"""Words to phones: inventory, lexicon, word parts, the statistical guess, readings in context, mouth shapes, PLS."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ancestral_models.text import PronunciationError, Sentence, g2p, lexicon, parse_text, phonemes, phonemize
from ancestral_models.text.phonemes import PHONEMES, Viseme, from_ipa, is_pause, viseme_of
from ancestral_models.text.pronunciations import read_pls


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


def word_of(line):
    return line.decode().split("\t")[0]


ENTRIES = {
    "english": (
        124_392,
        "d9306604bd8abe0bc2fcdd4f76951beac6da761c67d3b7fb467f40b0cdf82174",
        {"a": [("ə", "DT"), ("ˈeɪ", "letter")], "a's": [("ˈeɪ z", "")], "read": [("ɹ ˈi d", "VB"), ("ɹ ˈɛ d", "VBD")]},
    ),
    "french": (
        90_114,
        "13a4b993f07442bfb2917387cf30ec929eee794167e274ca9256f7ab5ab4a74c",
        {"bonjour": [("b ɔ̃ ʒ u ʁ", "")], "plus": [("p l y", ""), ("p l y s", "")]},
    ),
    "italian": (
        28_918,
        "72870737f661e079ccb6b7d5a080a9453aa34028d5f00afac8815b5cf184e1a6",
        {"ancora": [("ˈa ŋ k o r a", ""), ("a ŋ ˈk o r a", "")], "ciao": [("ˈt͡ʃ a o", "")]},
    ),
}
"""By language: words of its lexicon, the SHA-256 of all that it says of them, and samples."""


@pytest.mark.parametrize("language", ENTRIES)
def test_every_word_of_a_lexicon_is_found(language):
    count, sha256, samples = ENTRIES[language]
    words = [*map(word_of, lexicon._lexicon(language))]
    found = [[word, lexicon.entries(word, language)] for word in words]
    assert len(words) == count
    assert all(said for _, said in found)
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest() == sha256
    assert {word: lexicon.entries(word, language) for word in samples} == samples


@pytest.mark.parametrize(
    "word", ["", "\t", "\n", "zzzzzz", "READ", "read\t", "read\tɹ ˈi d", "read\nread's", "\U0010ffff", "\x00"]
)
def test_what_is_no_word_is_not_found(word):
    for language in ENTRIES:
        assert lexicon.entries(word, language) == []


def test_ipa():
    symbols = {"ə": "AX0", "ˈʌ": "AH1", "ʌ": "AH0", "ˈɚ": "ER1", "ɹ": "R", "ɡ": "G", "t͡ʃ": "CH", "ˌoʊ": "OW2"}
    assert {ipa: from_ipa(ipa) for ipa in symbols} == symbols
    with pytest.raises(KeyError):
        from_ipa("ʁ")
    said = [phones for line in lexicon._lexicon("english") for phones, _ in lexicon.entries(word_of(line))]
    every = {symbol for phones in said for symbol in phones.split()}
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


PLS = """<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon" alphabet="ipa" xml:lang="en-US">
  <metadata><lexicon><metadata><grapheme>no</grapheme></metadata></lexicon></metadata>
  <lexeme><grapheme>Ann &amp; Co</grapheme><grapheme>A&lt;B</grapheme>
    <alias>R and D</alias><alias>never</alias></lexeme>
  <lexeme role="noun"><grapheme>
    tomato</grapheme><phoneme>təˈmɑtoʊ</phoneme>
    <phoneme prefer="true" alphabet="x-arpabet">T AH0 M EY1 T OW0</phoneme><example>A tomato.</example></lexeme>
</lexicon>
"""


def test_pls():
    entries = {"Ann & Co": "alias:R and D", "A<B": "alias:R and D", "tomato": "T AH0 M EY1 T OW0"}
    assert read_pls(PLS) == read_pls("\ufeff" + PLS) == entries


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("<lexicon", f'<!DOCTYPE lexicon [<!ENTITY a0 "a">{BOMB}]><lexicon', "document type"),
        ("<lexicon", '<!DOCTYPE lexicon SYSTEM "http://localhost/a.dtd"><lexicon', "document type"),
        ("<lexicon", '<!DOCTYPE lexicon [<!ENTITY a SYSTEM "file:///etc/passwd">]><lexicon', "document type"),
        ("&amp;", "&a;", "undefined entity"),
        ("<lexeme role", "<?php?><lexeme role", "processing instruction"),
        ("<example>", "<script>", "<script> in <lexeme>"),
        ("<lexeme role", "<phoneme/><lexeme role", "<phoneme> in <lexicon>"),
        ('alphabet="x-arpabet"', 'alphabet="x-sampa"', "x-sampa"),
        ('alphabet="x-arpabet"', "", "not written in the alphabet ipa"),
        ("<alias>R and D</alias><alias>never</alias>", "", "missing"),
        ("</lexicon>", "", "not well-formed"),
        ("Ann", "\ud800", "surrogate"),
        ("Ann", "A" * (1 << 20), "PLS may take"),
    ],
)
def test_pls_that_cannot_be_used(old, new, named):
    with pytest.raises(PronunciationError, match=named):
        read_pls(PLS.replace(old, new, 1))
