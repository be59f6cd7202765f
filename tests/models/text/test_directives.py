"""Phonemes, pauses and lexicons in plain text."""

from itertools import product

import pytest

from ancestral.models.text import (
    PHONEMES,
    PronunciationError,
    Pronunciations,
    UnsupportedText,
    parse_text,
    phonemize,
)
from ancestral.models.text.ipa import parse_phonemes
from ancestral.models.text.normalize import normalize
from ancestral.models.text.phonemes import ENGLISH_CONSONANTS, ENGLISH_VOWELS
from tests.models.text.sequences import sequence

LEXICON = Pronunciations(
    {"Nginx": "EH1 N JH IH0 N EH1 K S", "k8s": "ˈkeɪts", "c++": "S IY1 P L AH2 S", "Node.js": "N OW1 D"}
)


def sequences(text, lexicon=LEXICON):
    return [sequence(sentence) for sentence in phonemize(parse_text(text, "text", lexicon))]


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("EH1 N JH IH0 N EH1 K S", "EH1 N JH IH0 N EH1 K S"),
        ("K AE T", "K AE1 T"),
        ("AX0 B AW1 T", "AX0 B AW1 T"),
        ("AX B AW T", "AX0 B AW1 T"),
        ("kæt", "K AE1 T"),
        ("həˈloʊ", "HH AX0 L OW1"),
        ("t͡ʃɪ́p".replace("\u0301", ""), "CH IH1 P"),
        ("tʃɜːtʃ", "CH ER1 CH"),
        ("ˌɛndʒɪnˈɛks", "EH2 N JH IH0 N EH1 K S"),
        ("ˈbʌtn̩", "B AH1 T AX0 N"),
        ("ˈrɛd.i", "R EH1 D IY0"),
        ("ðə", "DH AX0"),
    ],
)
def test_phonemes_are_written_in_arpabet_or_ipa(text, phones):
    assert parse_phonemes(text) == (tuple(phones.split()),)


def test_ipa_may_have_several_words():
    assert parse_phonemes("həˈloʊ ˈwɝld") == (("HH", "AX0", "L", "OW1"), ("W", "ER1", "L", "D"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "QQ",
        "K1",
        "AE3",
        "AE12",
        "AE00",
        "K12",
        "1",
        "AE1 ?",
        "ʙ",
        "ˈ",
        "日",
        "K " * 65,
        "a" * 257,
        "SIL",
        "Ｋ",
    ],
)
def test_what_is_no_phoneme_is_refused(text):
    with pytest.raises(UnsupportedText):
        parse_phonemes(text)


def test_whatever_is_accepted_is_a_phoneme():
    vowels = {vowel[:-1] for vowel in ENGLISH_VOWELS}
    digits = ["", *"0123", *(first + second for first in "012" for second in "012")]
    for name, stress in product([*vowels, *ENGLISH_CONSONANTS], digits):
        if stress == "" or (name in vowels and stress in ("0", "1", "2")):
            (word,) = parse_phonemes(name + stress)
            assert set(word) <= set(PHONEMES)
        else:
            with pytest.raises(UnsupportedText):
                parse_phonemes(name + stress)


def test_given_phonemes_are_spoken_and_neighbours_are_read_as_beside_any_word():
    assert sequences("The [[AE1 P AX0 L]] and the [[kˈæt]].") == [
        "sil _DH IY0 _AE1 P AX0 L _AX0 N D _DH AX0 _K AE1 T ."
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello [pause:1.5s] world.", ["sil _HH EH0 L OW1 ,:1.500 _W ER1 L D ."]),
        ("Hello, [PAUSE: 1500ms] world.", ["sil _HH EH0 L OW1 ,:1.500 _W ER1 L D ."]),
        ("Hello[pause:1s][pause:.5s], world.", ["sil _HH EH0 L OW1 ,:1.500 _W ER1 L D ."]),
        ("[pause:2s] Hello.", ["sil:2.000 _HH EH0 L OW1 ."]),
        ("Hello. [pause:2s] World.", ["sil _HH EH0 L OW1 .", "sil:2.000 _W ER1 L D ."]),
        ("Hello [pause:2s]. World.", ["sil _HH EH0 L OW1 .:2.000", "sil _W ER1 L D ."]),
        ("Hello? [pause:2s]", ["sil _HH EH0 L OW1 ?", "sil:2.000"]),
        ("Hello [pause:2s]", ["sil _HH EH0 L OW1 .:2.000"]),
        ("[pause:3s]", ["sil:3.000"]),
        ("Hello [pause:0s] world.", ["sil _HH EH0 L OW1 _W ER1 L D ."]),
    ],
)
def test_a_pause_has_its_length_where_it_stands(text, found):
    assert sequences(text) == found


@pytest.mark.parametrize(
    "text",
    [
     "[[", "a [[K AE1 T", "[[]]", "[[Main Page!]]", "[pause:]", "[pause:1]", "[pause:-1s]", "[pause:1e9s]",
     "[pause:11s]", "[pause:1s", "a [pause:10s] " * 13, "[[" + "K " * 10**5 + "]]", "[[" * 10**5,
     "[pause:" + "9" * 10**5 + "s]",
    ],
)  # fmt: skip
def test_directives_that_cannot_be_followed_are_refused(text):
    with pytest.raises(UnsupportedText) as refused:
        phonemize(text)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("text", ["a [1] b", "[pause]", "a]] b", "[p.s.] x"])
def test_other_brackets_are_read_as_before(text):
    assert phonemize(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Nginx and nginx.", ["Nginx", "and", "nginx"]),
        ("K8S or k8s?", ["K8S", "or", "k8s"]),
        ("Nginx's C++, non-Nginx Node.js.", ["Nginx's", "C++", "non", "Nginx", "Node.js"]),
        ("NginxPlus", ["nginx", "plus"]),
        ("Apache/Nginx", ["apache", "Nginx"]),
    ],
)
def test_entries_stand_for_whole_words(text, words):
    (sentence,) = phonemize(parse_text(text, "text", LEXICON))
    assert [item.text for item in sentence.items if not isinstance(item, str)] == words


def test_an_entry_is_said_as_it_says():
    assert sequences("Nginx's, k8s.") == ["sil _EH1 N JH IH0 N EH1 K S IH0 Z , _K EY1 T S ."]


@pytest.mark.parametrize("text", ["www.k8s.org", "bob@k8s.io", "/etc/k8s/conf", "#k8s", "https://k8s.io/k8s"])
def test_addresses_are_read_by_their_own_rules(text):
    assert sequences(text) == sequences(text, Pronunciations({}))


def test_the_later_lexicon_wins_and_only_used_entries_are_told():
    both = LEXICON | Pronunciations({"Nginx": "N AA1"})
    script = parse_text("Nginx, Nginx.", "text", both)
    assert both.only(script.entries) == {"Nginx": "N AA1"}
    assert [sequence(sentence) for sentence in phonemize(script)] == ["sil _N AA1 , _N AA1 ."]


@pytest.mark.parametrize(
    "entry", [{"": "K"}, {"a b": "K"}, {"a" * 65: "K"}, {"a.": "K"}, {"-a": "K"}, {"ok": "QQ"}, {"ok": ""}]
)
def test_a_wrong_entry_is_named(entry):
    with pytest.raises(PronunciationError) as refused:
        Pronunciations({"fine": "F AY1 N"} | entry)
    assert repr(next(iter(entry)))[:20] in str(refused.value)


def test_sentences_with_cues_are_read_the_same_alone():
    first, second = "Hello [pause:1s] [[K AE1 T]]. ", "[pause:2s] World."
    whole, *parts = ([token.spoken for token in normalize(text)] for text in (first + second, first, second))
    assert whole == parts[0] + parts[1]


def test_refused_characters_are_named_with_their_position():
    with pytest.raises(UnsupportedText, match=r"position 14\)"):
        phonemize("a [pause:1s] bж")
